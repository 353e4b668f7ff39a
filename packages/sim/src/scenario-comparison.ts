/** What happened against what was to happen: the same lines, and none later than its bound. */

export interface LogDifference {
  /** ` ` as expected, `-` expected and missing, `+` not expected. */
  readonly sign: ' ' | '-' | '+'
  readonly line: string
}

const BOUND = / \(within (\d+|Infinity) s\)$/

/** Undefined when the logs agree. A line that came sooner than its bound agrees with it. */
export function differencesIn(
  expected: readonly string[],
  found: readonly string[],
): readonly LogDifference[] | undefined {
  const lengths = commonLengths(expected, found)
  const differences: LogDifference[] = []
  let [from, to] = [0, 0]
  while (from < expected.length || to < found.length) {
    const [wanted, got] = [expected[from], found[to]]
    if (wanted !== undefined && got !== undefined && agree(wanted, got)) {
      differences.push({ sign: ' ', line: wanted })
      from++
      to++
    } else if (wanted !== undefined && (lengths[from + 1]?.[to] ?? 0) >= (lengths[from]?.[to + 1] ?? -1)) {
      differences.push({ sign: '-', line: wanted })
      from++
    } else {
      differences.push({ sign: '+', line: got ?? '' })
      to++
    }
  }
  return differences.some(({ sign }) => sign !== ' ') ? differences : undefined
}

function agree(expected: string, found: string): boolean {
  if (expected.replace(BOUND, '') !== found.replace(BOUND, '')) return false
  const [most, took] = [BOUND.exec(expected)?.[1], BOUND.exec(found)?.[1]]
  return most === took || (most !== undefined && took !== undefined && Number(took) <= Number(most))
}

/** By index into both: how many lines the rests of both have in common, in order. */
function commonLengths(expected: readonly string[], found: readonly string[]): readonly (readonly number[])[] {
  const lengths = Array.from({ length: expected.length + 1 }, () => Array.from(found, () => 0).concat(0))
  for (let from = expected.length - 1; from >= 0; from--)
    for (let to = found.length - 1; to >= 0; to--) {
      const row = lengths[from] ?? []
      row[to] = agree(expected[from] ?? '', found[to] ?? '')
        ? (lengths[from + 1]?.[to + 1] ?? 0) + 1
        : Math.max(lengths[from + 1]?.[to] ?? 0, row[to + 1] ?? 0)
    }
  return lengths
}
