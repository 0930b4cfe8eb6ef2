/** What the browser test asks the page from inside. A plain script, because these are the page's globals, not Node's. */

globalThis.probe = {
  nextFrame() {
    return new Promise((resolve) => requestAnimationFrame(resolve));
  },

  /** Which directives of the page's policy a fetch and a picture from elsewhere run into. */
  async reachForTheNetwork() {
    const directives = [];
    document.addEventListener('securitypolicyviolation', (event) => directives.push(event.effectiveDirective));
    await fetch('http://127.0.0.1:9/').catch(() => {});
    const image = document.createElement('img');
    await new Promise((resolve) => {
      image.onload = image.onerror = resolve;
      image.src = 'http://127.0.0.1:9/a.png';
    });
    // The events are tasks of their own.
    await new Promise((resolve) => setTimeout(resolve, 50));
    return directives.sort();
  },

  /** With everything folded out. */
  sideways() {
    for (const details of document.querySelectorAll('details')) details.open = true;
    const inner = [...document.querySelectorAll('main *')].filter((one) => one.closest('.scroller, svg') === null);
    return {
      pageWidth: document.documentElement.scrollWidth,
      sticksOut: inner
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => `${one.tagName}.${one.className}`),
    };
  },

  /** Charts on whose axes two labels lie over each other. */
  overlappingLabels() {
    return [...document.querySelectorAll('.x-axis, .y-axis')].flatMap((axis) => {
      const boxes = [...axis.children].map((label) => label.getBoundingClientRect()).filter(({ width }) => width > 0);
      const isOver = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
      return boxes
        .filter((a, i) => boxes.slice(i + 1).some((b) => isOver(a, b)))
        .map(() => axis.closest('.chart').dataset.chart ?? 'trials');
    });
  },

  /** The ground of the page, and texts that WCAG 2.1 (1.4.3) calls too faint on the ground they stand on. */
  contrast() {
    const faint = [];
    for (const element of document.querySelectorAll('main *')) {
      const hasText = [...element.childNodes].some(({ nodeType, textContent }) => nodeType === 3 && textContent.trim());
      if (!hasText || element.closest('svg, script, noscript') !== null) continue;
      const [a, b] = [luminance(getComputedStyle(element).color), luminance(groundOf(element))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < 4.5) faint.push(`${element.tagName}.${element.className}: ${ratio.toFixed(2)}`);
    }
    return { paper: getComputedStyle(document.body).backgroundColor, faint };
  },

  hasFocus(selector) {
    return document.activeElement?.matches(selector) === true;
  },

  /** Whether something stays within the width of the window. */
  isWithin(selector) {
    const { left, right } = document.querySelector(selector).getBoundingClientRect();
    return left >= 0 && right <= innerWidth;
  },
};

function channelsOf(colour) {
  return (colour.match(/[\d.]+/g) ?? []).map(Number);
}

function luminance(colour) {
  const [r, g, b] = channelsOf(colour)
    .slice(0, 3)
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function groundOf(element) {
  if (element === null) return 'rgb(255, 255, 255)';
  const { backgroundColor } = getComputedStyle(element);
  return channelsOf(backgroundColor)[3] === 0 ? groundOf(element.parentElement) : backgroundColor;
}
