/** What a dry run would do, as text. */
import type { PreviewDocument } from '../documents.js';
import type { Paper } from './paper.js';

export function renderPreview(paper: Paper, title: string, preview: PreviewDocument): string {
  const lines: string[] = [];
  for (const refusal of preview.refusals)
    lines.push(paper.wrap(refusal.sentence, 2, `${paper.style('red', paper.symbol('failed'))} `));
  if (preview.ok) {
    lines.push(paper.bold(paper.fit(title, paper.columns ?? 80)));
    preview.steps.forEach((step, i) => {
      const number = String(i + 1).padStart(String(preview.steps.length).length);
      lines.push(paper.wrap(step.title, number.length + 4, `  ${paper.dim(number)}  `));
    });
  }
  for (const note of preview.notes) lines.push(paper.wrap(note, 0, '', 'dim'));
  lines.push(paper.wrap('Nothing was touched.', 0, '', 'dim'));
  return `${lines.join('\n')}\n`;
}
