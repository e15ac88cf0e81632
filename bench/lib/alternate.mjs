// @ts-check
/** Taking samples of several contenders so that they can be compared. */

/**
 * Samples each contender once a round, in an order that turns around with every round:
 * a machine that becomes slower or faster meanwhile favours none.
 *
 * @template Sample
 * @param {Readonly<Record<string, (round: number) => Sample | Promise<Sample>>>} contenders
 * @param {number} rounds
 * @param {(name: string, round: number) => void} [before] told what comes next
 * @returns {Promise<Record<string, Sample[]>>} by contender, in the order of the rounds
 */
export async function alternate(contenders, rounds, before = () => {}) {
  const names = Object.keys(contenders);
  /** @type {Record<string, Sample[]>} */
  const samples = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? names : [...names].reverse();
    for (const name of order) {
      before(name, round);
      const sample = await contenders[name]?.(round);
      if (sample !== undefined) samples[name]?.push(sample);
    }
  }
  return samples;
}
