/** Text as the keys that type it, or the reason why the layout cannot. */
import { failure } from '../errors.ts'
import { fail, ok, type Result } from '../result.ts'
import { KEYBOARD_LAYOUTS, keyboardLayout, type Chord, type KeyboardLayoutName } from './keyboard-layout.ts'

/** So many characters are named in a refusal. */
const NAMED_MAX = 8

/**
 * The chords that type the text, line ends of any kind as Enter. Fails with `bad_request`, naming the characters that
 * the layout lacks; nothing of such a text is to be typed.
 */
export function keystrokesOf(text: string, layoutName: KeyboardLayoutName): Result<readonly Chord[]> {
  const layout = keyboardLayout(layoutName)
  const chords: Chord[] = []
  const lacking = new Map<string, string>()
  for (const [index, line] of text.split(/\r\n|\r|\n/).entries()) {
    if (index > 0) chords.push(...(layout.get('\n') ?? []))
    for (const [column, character] of [...line.normalize('NFC')].entries()) {
      const strokes = layout.get(character)
      if (strokes) chords.push(...strokes)
      else if (!lacking.has(character))
        lacking.set(character, `${shown(character)} (line ${index + 1}, column ${column + 1})`)
    }
  }
  if (lacking.size === 0) return ok(chords)
  const named = [...lacking.values()].slice(0, NAMED_MAX).join(', ')
  const more = lacking.size > NAMED_MAX ? ` and ${lacking.size - NAMED_MAX} more` : ''
  const others = KEYBOARD_LAYOUTS.filter((name) => [...lacking.keys()].every((each) => keyboardLayout(name).has(each)))
  return fail(
    failure('bad_request', `The keyboard layout ${layoutName} cannot type ${named}${more}`, {
      hint:
        others.length > 0
          ? `${others.join(' and ')} can; choose the layout that the guest is set to`
          : 'Leave these characters out, or send the text through the serial console or the network',
    }),
  )
}

/** A character as people can read it: those that show nothing by their number. */
function shown(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return /[\p{L}\p{N}\p{P}\p{S}]/u.test(character) ? character : `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
}
