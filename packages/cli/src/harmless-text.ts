/**
 * Text that others have written (names, reasons, what a guest says of itself), fit for a terminal: characters that would
 * move its cursor, change its colours or turn the direction of writing are shown as their codes.
 */

const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g // oxlint-disable-line no-control-regex -- that is what it is about

/** Line ends and tabs stay. */
export function harmlessText(text: string): string {
  return text.replaceAll(CONTROLS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Nobody reads a longer sentence; what was given by mistake (a whole file) may be in it. */
const SENTENCE_LENGTH_MAX = 2_000

/** For one line: without line ends, and not endless. */
export function harmlessSentence(text: string): string {
  const line = harmlessText(text).replaceAll(/\s*\n\s*/g, ' ')
  return line.length <= SENTENCE_LENGTH_MAX ? line : `${line.slice(0, SENTENCE_LENGTH_MAX)}…`
}
