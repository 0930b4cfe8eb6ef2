/** In the page: tabs, showing and hiding contestants, reading values off a chart by pointer or arrow keys, downloads. The
 *  page says everything without it. */

for (const tabs of document.querySelectorAll('.tabs')) makeTabs(tabs);
for (const button of document.querySelectorAll('[data-toggle]')) button.addEventListener('click', () => toggle(button));
for (const chart of document.querySelectorAll('[data-chart]')) makeReadable(chart);
for (const button of document.querySelectorAll('[data-download]')) {
  button.addEventListener('click', () => download(button.dataset.download));
}

/** One panel at a time, chosen by buttons; for print, all of them. */
function makeTabs(tabs) {
  const panels = [...tabs.children];
  if (panels.length < 2) return;
  const list = document.createElement('div');
  list.className = 'tab-list';
  list.setAttribute('role', 'tablist');
  list.setAttribute('aria-label', 'Which delay');
  const buttons = panels.map((panel, i) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = panel.dataset.tab;
    button.id = `tab-${i}`;
    button.setAttribute('role', 'tab');
    panel.id ||= `tab-panel-${i}`;
    panel.setAttribute('role', 'tabpanel');
    panel.setAttribute('aria-labelledby', button.id);
    button.setAttribute('aria-controls', panel.id);
    button.addEventListener('click', () => choose(i));
    list.append(button);
    return button;
  });
  list.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    choose(next);
    buttons[next].focus();
    event.preventDefault();
  });
  function choose(chosen) {
    for (const [i, panel] of panels.entries()) {
      panel.classList.toggle('unchosen', i !== chosen);
      buttons[i].setAttribute('aria-selected', String(i === chosen));
      buttons[i].tabIndex = i === chosen ? 0 : -1;
    }
  }
  tabs.prepend(list);
  tabs.classList.add('active');
  choose(0);
}

function toggle(button) {
  const isShown = button.getAttribute('aria-pressed') !== 'true';
  button.setAttribute('aria-pressed', String(isShown));
  const figure = button.closest('figure');
  for (const shape of figure.querySelectorAll(`[data-series="${button.dataset.toggle}"]`)) {
    shape.classList.toggle('hidden', !isShown);
  }
}

/** The plot becomes a slider along its grid: a hairline, a dot on each line, and a box with the values. */
function makeReadable(chart) {
  const { at, labels, lines } = JSON.parse(chart.querySelector('.readings').textContent);
  const area = chart.querySelector('.area');
  const hairline = element('i', 'hairline');
  const box = element('div', 'readout');
  const dots = lines.map((line) => element('i', `dot s${line.colour}`));
  box.setAttribute('aria-hidden', 'true');
  area.append(hairline, ...dots, box);
  area.tabIndex = 0;
  area.setAttribute('role', 'slider');
  area.setAttribute('aria-label', `${chart.querySelector('title').textContent} Arrow keys read values.`);
  area.setAttribute('aria-valuemin', '0');
  area.setAttribute('aria-valuemax', String(at.length - 1));
  let current = Math.floor(at.length / 2);
  describe();

  for (const type of ['pointermove', 'pointerdown']) {
    area.addEventListener(type, (event) => {
      const { left, width } = area.getBoundingClientRect();
      show(nearest((event.clientX - left) / width));
    });
  }
  // A finger leaves when it is lifted; what it asked for stays until it taps elsewhere.
  area.addEventListener('pointerleave', (event) => {
    if (event.pointerType === 'mouse' && document.activeElement !== area) hide();
  });
  area.addEventListener('focus', () => {
    if (area.matches(':focus-visible')) show(current);
  });
  area.addEventListener('blur', hide);
  area.addEventListener('keydown', (event) => {
    const page = Math.max(2, Math.round(at.length / 10));
    const targets = {
      ArrowRight: current + 1,
      ArrowUp: current + 1,
      ArrowLeft: current - 1,
      ArrowDown: current - 1,
      PageUp: current + page,
      PageDown: current - page,
      Home: 0,
      End: at.length - 1,
    };
    if (event.key === 'Escape') hide();
    if (!(event.key in targets)) return;
    event.preventDefault();
    show(Math.min(at.length - 1, Math.max(0, targets[event.key])));
  });

  function nearest(share) {
    let best = 0;
    for (let i = 1; i < at.length; i++) if (Math.abs(at[i] - share) < Math.abs(at[best] - share)) best = i;
    return best;
  }

  function isShown(line) {
    return chart.querySelector(`.line[data-series="${line.series}"]:not(.hidden)`) !== null;
  }

  function describe() {
    const values = lines.filter((line) => line.texts[current] !== null && isShown(line));
    const texts = values.map((line) => `${line.name} ${line.texts[current]}`);
    area.setAttribute('aria-valuenow', String(current));
    area.setAttribute('aria-valuetext', `${labels[current]}: ${texts.join(', ') || 'nothing'}`);
  }

  function show(index) {
    current = index;
    describe();
    const left = `${at[index] * 100}%`;
    hairline.style.left = left;
    const rows = [element('b', '', labels[index])];
    for (const [i, line] of lines.entries()) {
      const isVisible = line.heights[index] !== null && isShown(line);
      dots[i].classList.toggle('hidden', !isVisible);
      if (!isVisible) continue;
      dots[i].style.left = left;
      dots[i].style.bottom = `${line.heights[index] * 100}%`;
      const row = element('span', `s${line.colour}`);
      row.append(element('i', 'swatch'), element('span', '', line.name), element('em', '', line.texts[index]));
      rows.push(row);
    }
    box.replaceChildren(...rows);
    chart.classList.add('reading');
    // Beside the hairline where there is room, never over the edge of the plot.
    const { width } = area.getBoundingClientRect();
    const x = at[index] * width;
    const gap = 12;
    const isRight = x + gap + box.offsetWidth <= width;
    box.style.left = `${Math.max(0, isRight ? x + gap : Math.min(x - gap, width) - box.offsetWidth)}px`;
  }

  function hide() {
    chart.classList.remove('reading');
  }
}

function download(name) {
  const isResult = name === 'result.json';
  const text = isResult
    ? `${JSON.stringify(JSON.parse(document.getElementById('result').textContent), null, 2)}\n`
    : JSON.parse(document.getElementById('csv-files').textContent).find((file) => file.name === name).text;
  const link = element('a');
  link.href = URL.createObjectURL(new Blob([text], { type: isResult ? 'application/json' : 'text/csv' }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
