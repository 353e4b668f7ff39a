import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { KEYBOARD_LAYOUTS, keyboardLayout, type KeyboardLayoutName } from './keyboard-layout.ts'
import { keystrokesOf } from './keystrokes.ts'

const typed = (text: string, layout: KeyboardLayoutName) => {
  const chords = keystrokesOf(text, layout)
  assert.ok(chords.ok, chords.ok ? '' : chords.error.message)
  return chords.value.map((chord) => chord.join('+')).join(' ')
}
const refusal = (text: string, layout: KeyboardLayoutName) => {
  const chords = keystrokesOf(text, layout)
  assert.ok(!chords.ok)
  assert.equal(chords.error.code, 'bad_request')
  return chords.error
}

describe('text as keystrokes', () => {
  it('types on a US keyboard', () => {
    assert.equal(typed('ls -l | wc\n', 'us'), 'l s spc minus l spc shift+backslash spc w c ret')
    assert.equal(typed('A_"~', 'us'), 'shift+a shift+minus shift+apostrophe shift+grave_accent')
  })

  it('types on a French keyboard, where the letters are elsewhere and the digits need shift', () => {
    assert.equal(typed('az1é@.', 'fr'), 'q w shift+1 2 alt_r+0 shift+comma')
    assert.equal(typed('m,;:!<>', 'fr'), 'semicolon m comma dot slash less shift+less')
    assert.equal(typed('[]{}\\|#€', 'fr'), 'alt_r+5 alt_r+minus alt_r+4 alt_r+equal alt_r+8 alt_r+6 alt_r+3 alt_r+e')
  })

  it('uses dead keys for what has no key of its own', () => {
    assert.equal(typed('êÏ', 'fr'), 'bracket_left e shift+bracket_left shift+i')
    assert.equal(typed('e\u0302', 'fr'), typed('ê', 'fr'), 'a letter with a combining accent is the same letter')
  })

  it('types on a Polish keyboard', () => {
    assert.equal(typed('Żółć!', 'pl'), 'shift+alt_r+z alt_r+o alt_r+l alt_r+c shift+1')
    assert.equal(typed('ąęńśź', 'pl'), 'alt_r+a alt_r+e alt_r+n alt_r+s alt_r+x')
  })

  it('makes one Enter of every kind of line end', () => {
    assert.equal(typed('a\r\nb\rc\n', 'us'), 'a ret b ret c ret')
  })

  it('types every printable ASCII character with every layout', () => {
    const ascii = String.fromCodePoint(...Array.from({ length: 95 }, (_, index) => index + 32))
    for (const layout of KEYBOARD_LAYOUTS) assert.ok(keystrokesOf(ascii, layout).ok, layout)
  })

  it('never types two characters by the same keys', () => {
    for (const name of KEYBOARD_LAYOUTS) {
      const layout = [...keyboardLayout(name)].map(([, chords]) => JSON.stringify(chords))
      assert.equal(new Set(layout).size, layout.length, name)
    }
  })

  it('refuses what the layout cannot type, where it stands, and says who can', () => {
    const { message, hint } = refusal('echo ok\nzażółć', 'us')
    assert.match(message, /us cannot type ż \(line 2, column 3\), ó \(line 2, column 4\), ł .*, ć /)
    assert.match(hint ?? '', /^pl can/)
    assert.match(refusal('É', 'fr').hint ?? '', /Leave these characters out/)
    assert.match(refusal('\u0007', 'us').message, /U\+0007/)
    assert.match(refusal('日本語', 'pl').message, /日 \(line 1, column 1\)/)
  })
})
