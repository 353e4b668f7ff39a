import { Alert, Button, Group } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SnapshotView, SnapshotsView } from '@stead/api/endpoints/snapshots.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { bytesText, momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Panel } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { useSession } from '../session/session-context.ts'
import { ShortTable } from '../table/short-table.tsx'
import { obstacleTo } from './guest-actions.ts'
import classes from './guest-tabs.module.css'
import {
  DeleteSnapshotDialog,
  RollbackDialog,
  SnapshotScheduleDialog,
  TakeSnapshotDialog,
} from './snapshot-dialogs.tsx'
import { everyOf, everyText } from './snapshot-every.ts'

const LOOK_MS = 3_000
type Asked =
  | { readonly action: 'take' | 'schedule' }
  | { readonly action: 'rollback' | 'delete'; readonly snapshot: SnapshotView }

export function GuestSnapshots({ guest }: { guest: GuestView }) {
  const t = useText()
  const { client } = useSession()
  const [asked, setAsked] = useState<Asked>()
  const answer = useQuery({
    queryKey: ['snapshots', guest.id],
    queryFn: () => client.call(ENDPOINTS['snapshot.list'], { params: { guest: guest.name } }),
    refetchInterval: LOOK_MS,
  })
  if (!answer.data) return <LoadingRows />
  if (!answer.data.ok) return <FailureAlert failure={answer.data.error} />
  const view = answer.data.value
  const dialog = {
    guest,
    onClose: () => setAsked(undefined),
  }
  return (
    <Panel
      title={t('tab.snapshots')}
      aside={
        <Group gap={8}>
          <span className={classes.dim}>
            <ScheduleText schedule={view.schedule} />
          </span>
          <Button size="compact-xs" variant="default" onClick={() => setAsked({ action: 'schedule' })}>
            {t('snapshots.schedule')}
          </Button>
          <RefusableButton
            size="compact-xs"
            leftSection={<Icon name="camera" size={14} />}
            obstacle={obstacleTo('snapshot', guest)}
            onClick={() => setAsked({ action: 'take' })}
          >
            {t('snapshots.take')}
          </RefusableButton>
        </Group>
      }
    >
      <MergeDebt view={view} />
      {view.items.length === 0 ? (
        <Empty icon="camera" title={t('snapshots.none')} text={t('snapshots.noneText')} />
      ) : (
        <SnapshotTable items={view.items} onAsk={(action, snapshot) => setAsked({ action, snapshot })} />
      )}
      {asked?.action === 'take' ? <TakeSnapshotDialog {...dialog} /> : null}
      {asked?.action === 'schedule' ? <SnapshotScheduleDialog {...dialog} schedule={view.schedule} /> : null}
      {asked?.action === 'rollback' ? <RollbackDialog {...dialog} snapshot={asked.snapshot} /> : null}
      {asked?.action === 'delete' ? <DeleteSnapshotDialog {...dialog} snapshot={asked.snapshot} /> : null}
    </Panel>
  )
}

function ScheduleText({ schedule }: { schedule: SnapshotsView['schedule'] }) {
  const t = useText()
  const language = useLanguage()
  if (schedule === null) return t('snapshots.noSchedule')
  return t('snapshots.scheduled', { every: everyText(everyOf(schedule.everyMs), language), keep: schedule.keep })
}

/** What is still being merged, and hosts that told nothing. */
function MergeDebt({ view: { mergeDebt, notAsked } }: { view: SnapshotsView }) {
  const t = useText()
  const language = useLanguage()
  const bytes = mergeDebt.reduce((sum, debt) => sum + debt.bytes, 0)
  return (
    <>
      {bytes === 0 ? null : (
        <p className={classes.dim}>{t('snapshots.merging', { size: bytesText(bytes, language) })}</p>
      )}
      {notAsked.length === 0 ? null : (
        <Alert color="yellow" variant="light" mb="sm">
          {t('snapshots.notAsked', { hosts: notAsked.join(', ') })}
        </Alert>
      )}
    </>
  )
}

interface TableProps {
  readonly items: readonly SnapshotView[]
  readonly onAsk: (action: 'rollback' | 'delete', snapshot: SnapshotView) => void
}

function SnapshotTable({ items, onAsk }: TableProps) {
  const t = useText()
  const language = useLanguage()
  return (
    <ShortTable
      label={t('tab.snapshots')}
      columns={[
        t('word.name'),
        t('snapshots.taken'),
        t('snapshots.consistent'),
        t('snapshots.changed'),
        t('snapshots.actions'),
      ]}
    >
      {items.map((snapshot) => (
        <tr key={snapshot.id}>
          <td>{snapshot.name}</td>
          <td>{momentText(snapshot.createdAt, language)}</td>
          <td>
            {t(`snapshots.${snapshot.consistent}`)}
            {snapshot.memory ? ` + ${t('column.memory')} (${bytesText(snapshot.memory.bytes, language)})` : ''}
          </td>
          <td>{snapshot.changedBytes === null ? '–' : bytesText(snapshot.changedBytes, language)}</td>
          <td>
            <Group gap={6}>
              {(['rollback', 'delete'] as const).map((action) => (
                <Button
                  key={action}
                  size="compact-xs"
                  variant="default"
                  disabled={snapshot.state !== 'ready'}
                  onClick={() => onAsk(action, snapshot)}
                >
                  {t(`snapshots.${action}`)}
                </Button>
              ))}
            </Group>
          </td>
        </tr>
      ))}
    </ShortTable>
  )
}
