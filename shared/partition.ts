/** How a data set is divided between clients. */
export interface Examples {
  readonly count: number;
  readonly labels?: ArrayLike<number>;
  readonly groups?: ArrayLike<number>;
}
