import { useState } from 'react'
import type { ConsoleKind } from '@stead/api/console-protocol.ts'
import type { GuestView } from '@stead/api/views.ts'
import { consolesOf } from '../consoles/console-kinds.ts'
import { ConsolePanel } from '../consoles/console-panel.tsx'

export function GuestConsole({ guest }: { guest: GuestView }) {
  const kinds = consolesOf(guest)
  const [kind, setKind] = useState<ConsoleKind>()
  return (
    <ConsolePanel
      guest={guest}
      kind={kinds.find((one) => one === kind) ?? (kinds[0] as ConsoleKind)}
      onKind={setKind}
    />
  )
}
