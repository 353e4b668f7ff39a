/** What is seen of a console. It is loaded with noVNC and xterm.js only when somebody opens one. */
import { useEffect, useImperativeHandle, useRef, type Ref } from 'react'
import type { ConsoleKind } from '@stead/api/console-protocol.ts'
import { useText } from '../i18n/texts.ts'
import { useSession } from '../session/session-context.ts'
import classes from './console-panel.module.css'
import type { ConsoleState } from './console-state.ts'
import type { KeyPress } from './special-keys.ts'

export interface ConsoleHandle {
  focus(): void
  /** Of a screen. */
  press(keys: readonly KeyPress[]): void
  /** Of a terminal. */
  paste(text: string): void
}

interface Viewed {
  focus(): void
  leave(): void
  press?(keys: readonly KeyPress[]): void
  paste?(text: string): void
  fit?(isFitted: boolean): void
}

export interface ConsoleViewerProps {
  readonly ref: Ref<ConsoleHandle>
  readonly guest: string
  readonly kind: ConsoleKind
  readonly isFitted: boolean
  readonly onState: (state: ConsoleState) => void
}

export function ConsoleViewer({ ref, guest, kind, isFitted, onState }: ConsoleViewerProps) {
  const t = useText()
  const { client } = useSession()
  const place = useRef<HTMLDivElement>(null)
  const viewed = useRef<Viewed>(undefined)
  const fitted = useRef(isFitted)
  useImperativeHandle(ref, () => ({
    focus: () => viewed.current?.focus(),
    press: (keys) => viewed.current?.press?.(keys),
    paste: (text) => viewed.current?.paste?.(text),
  }))
  const label = t('console.input', { name: guest })
  useEffect(() => {
    let isLeft = false
    const begin = async () => {
      const made = await open()
      if (isLeft) return made?.leave()
      viewed.current = made
      made?.fit?.(fitted.current)
      made?.focus()
    }
    const open = async (): Promise<Viewed | undefined> => {
      // Each with its own library.
      if (kind === 'vnc') {
        const { GuestScreen } = await import('./guest-screen.ts')
        return place.current ? new GuestScreen({ client, guest, place: place.current, onState }) : undefined
      }
      const { GuestTerminal } = await import('./guest-terminal.ts')
      return place.current
        ? new GuestTerminal({ client, guest, kind, place: place.current, label, onState })
        : undefined
    }
    void begin()
    return () => {
      isLeft = true
      viewed.current?.leave()
      viewed.current = undefined
    }
  }, [client, guest, kind, label, onState])
  useEffect(() => {
    fitted.current = isFitted
    viewed.current?.fit?.(isFitted)
  }, [isFitted])
  return <div ref={place} className={kind === 'vnc' ? classes.screen : classes.terminal} />
}
