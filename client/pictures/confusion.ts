/**
 * The confusion matrix as a picture: rows are the truth, columns what the model said. A row's colours are its shares, so
 * that rare classes read like frequent ones; right answers are blue, wrong ones red, and the numbers are examples.
 */
import { sum } from 'd3-array';
import { scaleLinear, scaleSqrt } from 'd3-scale';
import { type Html, html } from '../../shared/charts/markup.js';
import { picture, text, widthOf } from '../../shared/charts/picture.js';
import { heatCell, heatNames, STEP } from './heat.js';

/** The root lets an error of one in a hundred be seen beside a diagonal of 99; six in ten are as red as all. */
const strengthOfWrong = scaleSqrt([0, 0.6], [0, 1]).clamp(true);
const strengthOfRight = scaleLinear([0, 1], [0, 1]);

/** @param counts [classes · classes], truth-major */
export function confusionPicture(counts: readonly number[], classNames: readonly string[], title: string): Html {
  const classes = classNames.length;
  const left = widthOf([...classNames, 'true']) + 10;
  const top = 62;
  const recall = left + classes * STEP + 44;
  const rows = classNames.map((name, truth) => {
    const row = counts.slice(truth * classes, (truth + 1) * classes);
    const total = sum(row);
    const y = top + truth * STEP;
    const share = total === 0 ? '–' : `${Math.round((100 * row[truth]) / total)}%`;
    const cells = row.map((count, said) => {
      const part = total === 0 ? 0 : count / total;
      const isRight = said === truth;
      const strength = isRight ? strengthOfRight(part) : strengthOfWrong(part);
      const tone = isRight ? 'right' : 'wrong';
      return heatCell({ x: left + said * STEP, y, strength, tone, words: count === 0 ? '' : String(count) });
    });
    const middle = y + STEP / 2 + 4;
    return html`${text(name, { x: left - 10, y: middle, anchor: 'end' })}${cells}${text(share, { x: recall, y: middle, anchor: 'end' })}`;
  });
  const heads = html`${text('predicted', { x: left + (classes * STEP) / 2, y: 14, anchor: 'middle', look: 'soft' })}${text('true', { x: left - 10, y: top - 8, anchor: 'end', look: 'soft' })}${text('right', { x: recall, y: top - 8, anchor: 'end', look: 'soft' })}`;
  const size = { width: recall, height: top + classes * STEP };
  return picture(title, size, html`${heads}${heatNames(classNames, { x: left, y: top - 8 })}${rows}`);
}
