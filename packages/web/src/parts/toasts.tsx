/** Failures of what was asked for without a dialog: they stay until they are read. */
import { Notification } from '@mantine/core'
import { useSyncExternalStore } from 'react'
import { hintOf, type Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import classes from './toasts.module.css'

interface Toast {
  readonly id: number
  readonly failure: Failure
}

const TOASTS_MAX = 4
let toasts: readonly Toast[] = []
let count = 0
const listeners = new Set<() => void>()

function set(next: readonly Toast[]): void {
  toasts = next
  for (const listener of listeners) listener()
}

export function showFailure(failure: Failure): void {
  set([...toasts, { id: count++, failure }].slice(-TOASTS_MAX))
}

export function Toasts() {
  const t = useText()
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    () => toasts,
  )
  return (
    <div className={classes.region} role="alert">
      {shown.map(({ id, failure }) => (
        <Notification
          key={id}
          color="red"
          title={failure.message}
          onClose={() => set(toasts.filter((toast) => toast.id !== id))}
          closeButtonProps={{ 'aria-label': t('word.close') }}
          withBorder
        >
          {hintOf(failure)}
        </Notification>
      ))}
    </div>
  )
}
