/** Asks before something is done to guests: shows what it would do, takes what it needs to know, and the name for the worst. */
import { Alert, Button, Checkbox, Group, Modal, Radio, Stack, Text as Words, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { ForeseenView } from '@stead/api/foresight-view.ts'
import type { GuestView } from '@stead/api/views.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { ForesightSummary } from '../parts/foresight-summary.tsx'
import { useSession } from '../session/session-context.ts'
import { perform, type ActionChoice, type GuestAction } from './guest-actions.ts'

/** What of more than so many guests would come of it is not worked out one by one. */
const FORESEEN_MAX = 5

export interface AskedAction {
  readonly action: GuestAction
  readonly guests: readonly GuestView[]
}

export function ActionDialog({ asked, onClose }: { asked: AskedAction; onClose: () => void }) {
  const { action, guests } = asked
  const t = useText()
  const { client, foreseen } = useSession()
  const [choice, setChoice] = useState<ActionChoice>({
    force: false,
    to: undefined,
    live: guests.every(({ kind, state }) => kind === 'vm' && state === 'running'),
    snapshotName: defaultSnapshotName(),
    memory: false,
  })
  const [typedName, setTypedName] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  const foresight = useForesight(asked, choice)
  const [guest] = guests
  if (!guest) return null
  const change = (part: Partial<ActionChoice>) => setChoice((before) => ({ ...before, ...part }))
  const single = guests.length === 1
  const names = guests.map(({ name }) => name).join(', ')
  const wantedName = single ? guest.name : String(guests.length)
  const isNamed = action !== 'delete' || typedName === wantedName
  const isChosen = action !== 'move' || choice.to !== undefined

  const confirm = async () => {
    setBusy(true)
    setFailure(undefined)
    for (const one of guests) {
      const view = single ? foresight.data?.[0] : undefined
      const done = await perform(view ? foreseen(view.token) : client, action, one.name, choice)
      if (!done.ok) {
        setBusy(false)
        return setFailure(done.error)
      }
    }
    onClose()
  }

  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={
        single ? t(`ask.${action}`, { name: guest.name }) : t('ask.several', { action: t(`action.${action}`), names })
      }
      closeButtonProps={{ 'aria-label': t('word.close') }}
    >
      <Stack gap="md">
        {action === 'move' ? <MoveChoice guest={guest} choice={choice} onChange={change} /> : null}
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
            <TextInput
              label={t('word.name')}
              value={choice.snapshotName}
              onChange={(event) => change({ snapshotName: event.currentTarget.value })}
              data-autofocus
            />
            <Checkbox
              label={t('ask.memory')}
              description={t('ask.memoryText')}
              checked={choice.memory}
              disabled={!guests.every(({ state }) => state === 'running')}
              onChange={(event) => change({ memory: event.currentTarget.checked })}
            />
          </>
        ) : null}
        {isChosen && action !== 'snapshot' ? (
          <ForesightSummary views={foresight.data} failure={foresight.failure} isPending={foresight.isPending} />
        ) : null}
        {action === 'delete' ? (
          <Alert color="red" variant="light">
            <Words size="sm" mb="xs">
              {t('ask.deleteText')}
            </Words>
            <TextInput
              label={t('ask.typeName', { name: wantedName })}
              value={typedName}
              onChange={(event) => setTypedName(event.currentTarget.value)}
              autoComplete="off"
              data-autofocus
            />
          </Alert>
        ) : null}
        {failure ? <FailureAlert failure={failure} /> : null}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('word.cancel')}
          </Button>
          <Button
            color={action === 'delete' || (action === 'stop' && choice.force) ? 'red.9' : undefined}
            loading={isBusy}
            disabled={!isNamed || !isChosen || foresight.failure !== undefined}
            onClick={() => void confirm()}
          >
            {t(`action.${action}`)}
          </Button>
        </Group>
      </Stack>
    </Modal>
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
          onChange={(event) => onChange({ live: event.currentTarget.checked })}
        />
      ) : null}
    </Stack>
  )
}

/** What the action would do to each of the guests, as the cluster works it out. */
function useForesight({ action, guests }: AskedAction, choice: ActionChoice) {
  const { foreseeing } = useSession()
  const isAsked =
    action !== 'snapshot' && guests.length <= FORESEEN_MAX && (action !== 'move' || choice.to !== undefined)
  const names = guests.map(({ name }) => name)
  const query = useQuery({
    queryKey: ['foresight', action, names, choice.to, choice.live, choice.force],
    enabled: isAsked,
    staleTime: 0,
    gcTime: 0,
    queryFn: async () => {
      const views: ForeseenView[] = []
      for (const name of names) {
        const answer = await perform(foreseeing, action, name, choice)
        if (answer.ok || answer.error.code !== 'foreseen')
          return { failure: answer.ok ? undefined : answer.error, views }
        views.push(answer.error.cause as ForeseenView)
      }
      return { failure: undefined, views }
    },
  })
  return { data: query.data?.views, failure: query.data?.failure, isPending: isAsked && query.isPending }
}

function defaultSnapshotName(): string {
  const [day = '', time = ''] = new Date().toISOString().split('T')
  return `s-${day}-${time.slice(0, 5).replace(':', '')}`
}
