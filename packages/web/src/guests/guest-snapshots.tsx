import { Button, Checkbox, Group, Modal, Stack, TextInput } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { SnapshotView } from '@stead/api/endpoints/snapshots.ts'
import type { GuestView } from '@stead/api/views.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { bytesText, momentText } from '../parts/figures.ts'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Empty, Panel } from '../parts/page.tsx'
import { useSession } from '../session/session-context.ts'
import classes from './guest-tabs.module.css'

const LOOK_MS = 3_000
interface Asked {
  readonly action: 'rollback' | 'delete'
  readonly snapshot: SnapshotView
}

export function GuestSnapshots({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const { client } = useSession()
  const [asked, setAsked] = useState<Asked>()
  const answer = useQuery({
    queryKey: ['snapshots', guest.id],
    queryFn: () => client.call(ENDPOINTS['snapshot.list'], { params: { guest: guest.name } }),
    refetchInterval: LOOK_MS,
  })
  if (!answer.data) return <LoadingRows />
  if (!answer.data.ok) return <FailureAlert failure={answer.data.error} />
  const { items, schedule } = answer.data.value
  return (
    <Panel
      title={t('tab.snapshots')}
      aside={
        <span className={classes.dim}>{schedule === null ? t('snapshots.noSchedule') : t('snapshots.scheduled')}</span>
      }
    >
      {items.length === 0 ? (
        <Empty icon="camera" title={t('snapshots.none')} text={t('snapshots.noneText')} />
      ) : (
        <div className={classes.scrolls}>
          <table className={classes.table}>
            <thead>
              <tr>
                <th scope="col">{t('word.name')}</th>
                <th scope="col">{t('snapshots.taken')}</th>
                <th scope="col">{t('snapshots.consistent')}</th>
                <th scope="col">{t('snapshots.changed')}</th>
                <th scope="col">{t('snapshots.actions')}</th>
              </tr>
            </thead>
            <tbody>
              {items.map((snapshot) => (
                <tr key={snapshot.id}>
                  <td>{snapshot.name}</td>
                  <td>{momentText(snapshot.createdAt, language)}</td>
                  <td>
                    {t(`snapshots.${snapshot.consistent}`)}
                    {snapshot.memory ? ` + ${t('column.memory')}` : ''}
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
                          onClick={() => setAsked({ action, snapshot })}
                        >
                          {t(`snapshots.${action}`)}
                        </Button>
                      ))}
                    </Group>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {asked ? <SnapshotDialog guest={guest} asked={asked} onClose={() => setAsked(undefined)} /> : null}
    </Panel>
  )
}

function SnapshotDialog({ guest, asked, onClose }: { guest: GuestView; asked: Asked; onClose: () => void }) {
  const t = useText()
  const { client } = useSession()
  const queries = useQueryClient()
  const [typed, setTyped] = useState('')
  const [deleteNewer, setDeleteNewer] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  const { action, snapshot } = asked
  const confirm = async () => {
    const params = { guest: guest.name, snapshot: snapshot.name }
    const done =
      action === 'delete'
        ? await client.call(ENDPOINTS['snapshot.delete'], { params })
        : await client.call(ENDPOINTS['snapshot.rollback'], { params, body: { deleteNewer } })
    void queries.invalidateQueries({ queryKey: ['snapshots', guest.id] })
    if (done.ok) onClose()
    else setFailure(done.error)
  }
  return (
    <Modal
      opened
      onClose={onClose}
      title={t(`snapshots.ask.${action}`, { name: snapshot.name })}
      closeButtonProps={{ 'aria-label': t('word.close') }}
    >
      <Stack>
        {action === 'rollback' ? (
          <>
            <p className={classes.dim}>{t('snapshots.rollbackText')}</p>
            <Checkbox
              label={t('snapshots.deleteNewer')}
              checked={deleteNewer}
              onChange={(event) => setDeleteNewer(event.currentTarget.checked)}
            />
            <TextInput
              label={t('ask.typeName', { name: guest.name })}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              autoComplete="off"
            />
          </>
        ) : null}
        {failure ? <FailureAlert failure={failure} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('word.cancel')}
          </Button>
          <Button
            color={action === 'rollback' ? 'red.9' : undefined}
            disabled={action === 'rollback' && typed !== guest.name}
            onClick={() => void confirm()}
          >
            {t(`snapshots.${action}`)}
          </Button>
        </Group>
      </Stack>
    </Modal>
  )
}
