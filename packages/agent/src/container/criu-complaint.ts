const REASONS_MAX = 2
const REASON_LENGTH_MAX = 120

/** What CRIU's errors begin with: all that follow are of those; and without the places in its source. */
export function whyIn(complaint: string): string {
  const said = complaint
    .split('\n')
    .map((line) => line.replace(/^.*?Error \([^)]*\):\s*/, '').trim())
    // The end of a child that it had asked something.
    .filter((line) => line !== '' && !/^exited, status=\d+$/.test(line))
  return [...new Set(said)]
    .slice(0, REASONS_MAX)
    .map((line) => (line.length > REASON_LENGTH_MAX ? `${line.slice(0, REASON_LENGTH_MAX)}…` : line))
    .join('; ')
}
