/** A text that is to be typed into a screen, in parts that the API takes. Nothing is typed if not all of it can be. */
import { PASTE_CHARACTERS_MAX } from '@stead/api/endpoints/consoles.ts'
import type { KeyboardLayoutName } from '@stead/core/console/keyboard-layout.ts'
import { keystrokesOf } from '@stead/core/console/keystrokes.ts'
import { ok, type Result } from '@stead/core/result.ts'

export function pastePlan(text: string, layout: KeyboardLayoutName): Result<readonly string[]> {
  const typed = keystrokesOf(text, layout)
  if (!typed.ok) return typed
  const characters = [...text]
  const parts: string[] = []
  for (let at = 0; at < characters.length; at += PASTE_CHARACTERS_MAX)
    parts.push(characters.slice(at, at + PASTE_CHARACTERS_MAX).join(''))
  return ok(parts)
}
