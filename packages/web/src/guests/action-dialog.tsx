/** Asks before something is done to guests: shows what it would do, takes what it needs to know, and the name for the worst. */
import { Checkbox, Radio, Stack, Text as Words } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { Client } from '@stead/api/client.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Failure } from '@stead/core/errors.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog, type Consent } from '../parts/change-dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { NameField } from '../parts/text-field.tsx'
import { useSession } from '../session/session-context.ts'
import { bringDisk, disksLeftBehind } from './disks-first.ts'
import { perform, snapshotNameNow, type ActionChoice, type GuestAction } from './guest-actions.ts'

/** What of more than so many guests would come of it is not worked out one by one. */
const FORESEEN_MAX = 5

export interface AskedAction {
  readonly action: GuestAction
  readonly guests: readonly GuestView[]
  /** It was tried without asking. */
  readonly refused?: Failure
}

export function ActionDialog({ asked, onClose }: { asked: AskedAction; onClose: () => void }) {
  const { action, guests } = asked
  const t = useText()
  const [choice, setChoice] = useState<ActionChoice>({
    force: false,
    to: undefined,
    live: guests.every(({ kind, state }) => kind === 'vm' && state === 'running'),
    postCopy: false,
    snapshotName: snapshotNameNow(),
    memory: false,
  })
  const [isWithDisks, setWithDisks] = useState(false)
  const [guest] = guests
  if (!guest) return null
  const change = (part: Partial<ActionChoice>) => setChoice((before) => ({ ...before, ...part }))
  const single = guests.length === 1
  const names = guests.map(({ name }) => name)
  const left = action === 'move' && choice.live && choice.to !== undefined ? disksLeftBehind(guest, choice.to) : []
  const brought = isWithDisks ? left : []
  const isForeseen = action !== 'snapshot' && guests.length <= FORESEEN_MAX
  return (
    <ChangeDialog
      title={
        single
          ? t(`ask.${action}`, { name: guest.name })
          : t('ask.several', { action: t(`action.${action}`), names: names.join(', ') })
      }
      confirm={t(`action.${action}`)}
      {...(action === 'move' && choice.to === undefined ? { complaint: '' } : {})}
      {...(isForeseen
        ? { foreseen: [names, choice.to, choice.live, choice.postCopy, choice.force, brought.length] }
        : {})}
      {...(action === 'delete'
        ? { danger: { text: t('ask.deleteText'), name: single ? guest.name : String(guests.length) } }
        : {})}
      {...(action === 'stop' && choice.force ? { danger: {} } : {})}
      call={[
        ...brought.map((disk) => (client: Client) => bringDisk(client, disk, choice.to ?? '')),
        ...names.map((name) => (client: Client, consent: Consent) => perform(client, action, name, choice, consent)),
      ]}
      refused={asked.refused}
      onClose={onClose}
    >
      {action === 'move' ? <MoveChoice guest={guest} choice={choice} onChange={change} /> : null}
      {left.length === 0 ? null : (
        <Checkbox
          label={t('ask.withDisks', { disks: left.map(({ name }) => name).join(', ') })}
          description={t('ask.withDisksText')}
          checked={isWithDisks}
          onChange={(event) => setWithDisks(event.currentTarget.checked)}
        />
      )}
      {action === 'stop' ? (
        <Checkbox
          label={t('ask.force')}
          description={t('ask.forceText')}
          checked={choice.force}
          onChange={(event) => change({ force: event.currentTarget.checked })}
        />
      ) : null}
      {action === 'snapshot' ? (
        <>
          <NameField value={choice.snapshotName} onChange={(snapshotName) => change({ snapshotName })} />
          <Checkbox
            label={t('ask.memory')}
            description={t('ask.memoryText')}
            checked={choice.memory}
            disabled={!guests.every(({ state }) => state === 'running')}
            onChange={(event) => change({ memory: event.currentTarget.checked })}
          />
        </>
      ) : null}
    </ChangeDialog>
  )
}

function MoveChoice(props: {
  guest: GuestView
  choice: ActionChoice
  onChange: (part: Partial<ActionChoice>) => void
}) {
  const { guest, choice, onChange } = props
  const t = useText()
  const { client } = useSession()
  const targets = useQuery({
    queryKey: ['move-targets', guest.id],
    queryFn: async () => client.call(ENDPOINTS['guest.move-targets'], { params: { guest: guest.name } }),
  })
  if (!targets.data) return <Words c="dimmed">{t('word.loading')}</Words>
  if (!targets.data.ok) return <FailureAlert failure={targets.data.error} />
  const chosen = targets.data.value.targets.find(({ host }) => host === choice.to)
  return (
    <Stack gap="xs">
      <Radio.Group
        label={t('ask.to')}
        value={choice.to ?? ''}
        onChange={(to) => {
          const live =
            targets.data?.ok === true && targets.data.value.targets.some((one) => one.host === to && one.live)
          onChange({ to, live: live && guest.state === 'running' })
        }}
      >
        <Stack gap="sm" mt="xs">
          {targets.data.value.targets
            .filter(({ current }) => !current)
            .map((target) => (
              <Radio
                key={target.host}
                value={target.host}
                disabled={!target.possible}
                label={target.host}
                description={target.possible ? target.merits.join(' · ') || target.liveReason : target.reason}
              />
            ))}
        </Stack>
      </Radio.Group>
      {chosen && guest.state === 'running' ? (
        <Checkbox
          mt="xs"
          label={t('ask.live')}
          description={chosen.live ? t('ask.liveText') : chosen.liveReason}
          disabled={!chosen.live}
          checked={choice.live}
          onChange={(event) => onChange({ live: event.currentTarget.checked, postCopy: false })}
        />
      ) : null}
      {chosen && guest.kind === 'vm' && choice.live ? (
        <Checkbox
          label={t('ask.postCopy')}
          description={t('ask.postCopyText')}
          checked={choice.postCopy}
          onChange={(event) => onChange({ postCopy: event.currentTarget.checked })}
        />
      ) : null}
    </Stack>
  )
}
