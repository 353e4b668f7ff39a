/**
 * A guest's console in a window of its own. It has no stream of live views: browsers open six connections to a host for
 * all their windows, and somebody may have more consoles open than that.
 */
import { useQuery } from '@tanstack/react-query'
import { useParams } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import type { ConsoleKind } from '@stead/api/console-protocol.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Toasts } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import { consolesOf } from './console-kinds.ts'
import { ConsolePanel } from './console-panel.tsx'
import classes from './console-panel.module.css'

const LOOK_MS = 3_000

export function ConsoleWindow() {
  const { guest: name } = useParams({ from: '/console/$guest' })
  const { client } = useSession()
  const [kind, setKind] = useState(() => new URLSearchParams(location.search).get('kind'))
  const answer = useQuery({
    queryKey: ['guest', name],
    queryFn: () => client.call(ENDPOINTS['guest.show'], { params: { guest: name } }),
    refetchInterval: LOOK_MS,
    placeholderData: (before) => before,
  })
  useEffect(() => {
    document.title = `${name} · Stead`
  }, [name])
  if (!answer.data) return <LoadingRows />
  if (!answer.data.ok) {
    return (
      <main className={classes.window}>
        <FailureAlert failure={answer.data.error} />
      </main>
    )
  }
  const guest = answer.data.value
  const kinds = consolesOf(guest)
  return (
    <main className={classes.window}>
      <ConsolePanel
        guest={guest}
        kind={kinds.find((one) => one === kind) ?? (kinds[0] as ConsoleKind)}
        onKind={setKind}
        isAlone
      />
      <Toasts />
    </main>
  )
}
