/**
 * Preloaded into a process of Starling (node --import): its wall clock is off by as many milliseconds as the file says that
 * SHIFTED_CLOCK names, now and whenever that changes; timers, as on any machine, keep their pace.
 */
import fs from 'node:fs';

const file = process.env.SHIFTED_CLOCK;

if (file !== undefined) {
  const Real = Date;
  const shiftMs = () => {
    try {
      return Number(fs.readFileSync(file, 'utf8'));
    } catch {
      return 0;
    }
  };
  const now = () => Real.now() + shiftMs();
  const origin = performance.timeOrigin + shiftMs(); // what it was when the process began
  Object.defineProperty(performance, 'timeOrigin', { get: () => origin });
  globalThis.Date = new Proxy(Real, {
    construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [now()] : args, self),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name, target)),
  });
}
