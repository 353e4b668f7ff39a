const REASONS_MAX = 2
const REASON_LENGTH_MAX = 120
/** It wants more open files for itself than it needs, which an agent without CAP_SYS_RESOURCE cannot give. */
const HARMLESS = /RLIMIT_NOFILE for self/

/** Of CRIU's log or complaint its first errors, without the places in its source: all that follow are of those. */
export function whyIn(complaint: string): string {
  const said = complaint
    .split('\n')
    .filter((line) => !line.includes('Warn  (') && !HARMLESS.test(line))
    .map((line) => line.replace(/^.*?Error \([^)]*\):\s*/, '').trim())
    // The end of a child that it had asked something.
    .filter((line) => line !== '' && !/^exited, status=\d+$/.test(line))
  return [...new Set(said)]
    .slice(0, REASONS_MAX)
    .map((line) => (line.length > REASON_LENGTH_MAX ? `${line.slice(0, REASON_LENGTH_MAX)}…` : line))
    .join('; ')
}
