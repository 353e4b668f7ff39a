/** Keys that a browser or its system keeps for itself: they are sent from a menu. */

/** X11's keysym (keysymdef.h), and the name of the key's place as browsers have it. */
export type KeyPress = readonly [keysym: number, code: string]

const CONTROL: KeyPress = [0xffe3, 'ControlLeft']
const ALT: KeyPress = [0xffe9, 'AltLeft']
const functionKey = (number: number): KeyPress => [0xffbd + number, `F${number}`]

export const SPECIAL_KEYS: readonly (readonly [label: string, keys: readonly KeyPress[]])[] = [
  ['Ctrl + Alt + Del', [CONTROL, ALT, [0xffff, 'Delete']]],
  ['Ctrl + Alt + Backspace', [CONTROL, ALT, [0xff08, 'Backspace']]],
  ...[1, 2, 3, 4, 7].map((number) => [`Ctrl + Alt + F${number}`, [CONTROL, ALT, functionKey(number)]] as const),
  ['Alt + Tab', [ALT, [0xff09, 'Tab']]],
  ['Alt + F4', [ALT, functionKey(4)]],
  ['Super', [[0xffeb, 'MetaLeft']]],
  ['Print', [[0xff61, 'PrintScreen']]],
]
