/** The three log levels the coordinator uses; pino's own logger fits. Secrets never go into a log. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Says nothing. */
export const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {} };
