/**
 * Keyboard layouts as the characters that each key gives, so that text can be typed into a guest. A layout is what the
 * guest is set to; the keys are named as QEMU's QKeyCode names them, by their place on a US keyboard.
 */

export const KEYBOARD_LAYOUTS = ['us', 'fr', 'pl'] as const
export type KeyboardLayoutName = (typeof KEYBOARD_LAYOUTS)[number]

/** Keys that are pressed together, in this order, and let go in the opposite one. */
export type Chord = readonly string[]

/** What types each character: one chord, or a dead key's and then a letter's. */
export type KeyboardLayout = ReadonlyMap<string, readonly Chord[]>

/** The keys that give characters, row by row. `less` is the key beside the left shift that US keyboards lack. */
const KEYS: readonly (readonly string[])[] = [
  ['grave_accent', '1', '2', '3', '4', '5', '6', '7', '8', '9', '0', 'minus', 'equal'],
  ['q', 'w', 'e', 'r', 't', 'y', 'u', 'i', 'o', 'p', 'bracket_left', 'bracket_right'],
  ['a', 's', 'd', 'f', 'g', 'h', 'j', 'k', 'l', 'semicolon', 'apostrophe', 'backslash'],
  ['less', 'z', 'x', 'c', 'v', 'b', 'n', 'm', 'comma', 'dot', 'slash'],
]

/** The four rows of one level. A space stands for a key that gives nothing there. */
type Level = readonly [string, string, string, string]

interface LayoutTable {
  readonly plain: Level
  readonly shift: Level
  readonly altGr?: Level
  readonly shiftAltGr?: Level
  /** Dead keys: the chord, and what follows it to give what. */
  readonly dead?: readonly { readonly chord: Chord; readonly letters: string; readonly give: string }[]
}

const US: LayoutTable = {
  plain: ['`1234567890-=', 'qwertyuiop[]', "asdfghjkl;'\\", ' zxcvbnm,./'],
  shift: ['~!@#$%^&*()_+', 'QWERTYUIOP{}', 'ASDFGHJKL:"|', ' ZXCVBNM<>?'],
}

const TABLES: Readonly<Record<KeyboardLayoutName, LayoutTable>> = {
  us: US,
  // AZERTY as Linux has it, where AltGr's ~ and ` are no dead keys.
  fr: {
    plain: ['²&é"\'(-è_çà)=', 'azertyuiop $', 'qsdfghjklmù*', '<wxcvbn,;:!'],
    shift: [' 1234567890°+', 'AZERTYUIOP £', 'QSDFGHJKLM%µ', '>WXCVBN?./§'],
    altGr: ['  ~#{[|`\\^@]}', '  €         ', '            ', '           '],
    dead: [
      { chord: ['bracket_left'], letters: 'aeiouAEIOU', give: 'âêîôûÂÊÎÔÛ' },
      { chord: ['shift', 'bracket_left'], letters: 'aeiouyAEIOU', give: 'äëïöüÿÄËÏÖÜ' },
    ],
  },
  // "Polish programmers": the US keyboard, with the Polish letters under AltGr.
  pl: {
    ...US,
    altGr: ['             ', '  ę     ó   ', 'ąś      ł   ', ' żźć  ń    '],
    shiftAltGr: ['             ', '  Ę     Ó   ', 'ĄŚ      Ł   ', ' ŻŹĆ  Ń    '],
  },
}

const layouts = new Map<KeyboardLayoutName, KeyboardLayout>()

export function keyboardLayout(name: KeyboardLayoutName): KeyboardLayout {
  const known = layouts.get(name)
  if (known) return known
  const layout = layoutOf(TABLES[name])
  layouts.set(name, layout)
  return layout
}

function layoutOf({ plain, shift, altGr, shiftAltGr, dead = [] }: LayoutTable): KeyboardLayout {
  const layout = new Map<string, readonly Chord[]>([
    [' ', [['spc']]],
    ['\n', [['ret']]],
    ['\t', [['tab']]],
  ])
  const add = (level: Level | undefined, modifiers: readonly string[]) => {
    for (const [row, keys] of KEYS.entries())
      for (const [place, key] of keys.entries()) {
        const character = level?.[row]?.[place] ?? ' '
        // The level with fewer modifiers wins where a character is on two.
        if (!layout.has(character)) layout.set(character, [[...modifiers, key]])
      }
  }
  add(plain, [])
  add(shift, ['shift'])
  add(altGr, ['alt_r'])
  add(shiftAltGr, ['shift', 'alt_r'])
  for (const { chord, letters, give } of dead)
    for (const [index, character] of [...give].entries()) {
      const letter = layout.get(letters[index] ?? '')
      if (letter && !layout.has(character)) layout.set(character, [chord, ...letter])
    }
  return layout
}
