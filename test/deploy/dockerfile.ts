/** A Dockerfile taken apart: its stages and their instructions, as far as ours use the language. Cold. */

export interface Instruction {
  readonly keyword: string;
  /** Behind the keyword; continued lines joined. */
  readonly text: string;
}

export interface Stage {
  readonly image: string;
  /** Of `AS`; the position, for a stage without. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

/** Throws where something stands in front of the first FROM. */
export function readStages(file: string): Stage[] {
  const lines = file
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  for (const line of lines) {
    const [, keyword, text] = /^([A-Z]+)\s+(.*)$/.exec(line.trim()) ?? [];
    if (keyword === undefined || text === undefined) throw new Error(`not an instruction: ${line}`);
    if (keyword === 'FROM') {
      const [, image, name] = /^(\S+)(?:\s+AS\s+(\S+))?$/.exec(text) ?? [];
      stages.push({ image: image!, name: name ?? String(stages.length), instructions: [] });
    } else if (stages.length === 0) throw new Error(`in front of the first FROM: ${line}`);
    else stages.at(-1)!.instructions.push({ keyword, text });
  }
  return stages;
}
