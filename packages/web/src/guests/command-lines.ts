/** A program and its arguments as they are typed, one a line: what stands between is taken as it is, since no shell reads it. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''))
  while (lines.length > 1 && lines.at(-1) === '') lines.pop()
  return lines
}
