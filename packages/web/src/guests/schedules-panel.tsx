/** What is done to the guest at set times, and what came of it. */
import { Button, Checkbox, Group, NumberInput, Select, TextInput } from '@mantine/core'
import { useState } from 'react'
import { addScheduleBody } from '@stead/api/endpoints/lifecycle.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { SCHEDULED_ACTIONS, SNAPSHOTS_KEPT, type ScheduledAction } from '@stead/core/model/schedule.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { momentText } from '../parts/figures.ts'
import { Empty, Panel } from '../parts/page.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { ShortTable } from '../table/short-table.tsx'
import classes from './guest-tabs.module.css'

export function SchedulesPanel({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const [asked, setAsked] = useState<{ readonly remove?: string }>()
  const close = () => setAsked(undefined)
  const moment = (time: string | null) => (time === null ? '–' : momentText(time, language))
  const { remove } = asked ?? {}
  return (
    <Panel
      title={t('schedule.title')}
      aside={
        <Button size="compact-xs" variant="default" onClick={() => setAsked({})}>
          {t('schedule.add')}
        </Button>
      }
    >
      {guest.schedules.length === 0 ? (
        <Empty icon="event" title={t('schedule.none')} text={t('schedule.noneText')} />
      ) : (
        <ShortTable
          label={t('schedule.title')}
          columns={[
            t('word.name'),
            t('schedule.what'),
            t('schedule.when'),
            t('schedule.next'),
            t('schedule.last'),
            t('schedule.actions'),
          ]}
        >
          {guest.schedules.map((schedule) => (
            <tr key={schedule.name}>
              <td>{schedule.name}</td>
              <td>{t(`schedule.action.${schedule.action}`)}</td>
              <td>
                <code>{schedule.cron}</code> <span className={classes.dim}>{schedule.timeZone}</span>
              </td>
              <td>{moment(schedule.nextAt)}</td>
              <td>
                {moment(schedule.lastAt)} <span className={classes.dim}>{schedule.lastOutcome}</span>
              </td>
              <td>
                <Button
                  size="compact-xs"
                  variant="default"
                  aria-label={t('schedule.removeOne', { name: schedule.name })}
                  onClick={() => setAsked({ remove: schedule.name })}
                >
                  {t('schedule.remove')}
                </Button>
              </td>
            </tr>
          ))}
        </ShortTable>
      )}
      {asked && remove === undefined ? <AddScheduleDialog guest={guest} onClose={close} /> : null}
      {remove === undefined ? null : (
        <ChangeDialog
          title={t('schedule.removeTitle', { name: remove })}
          confirm={t('schedule.remove')}
          call={(client) =>
            client.call(ENDPOINTS['schedule.remove'], { params: { guest: guest.name, schedule: remove } })
          }
          onClose={close}
        />
      )}
    </Panel>
  )
}

function AddScheduleDialog({ guest, onClose }: { guest: GuestView; onClose: () => void }) {
  const t = useText()
  const [name, setName] = useState('nightly')
  const [action, setAction] = useState<ScheduledAction>('snapshot')
  const [cron, setCron] = useState('30 3 * * *')
  const [timeZone, setTimeZone] = useState(() => Intl.DateTimeFormat().resolvedOptions().timeZone)
  const [isCaughtUp, setCaughtUp] = useState(false)
  const [keep, setKeep] = useState(SNAPSHOTS_KEPT)
  const body = {
    ...{ name: name.trim(), action, cron, timeZone },
    missed: isCaughtUp ? ('run' as const) : ('skip' as const),
    ...(action === 'snapshot' ? { keep } : {}),
  }
  return (
    <ChangeDialog
      title={t('schedule.addTitle', { name: guest.name })}
      confirm={t('schedule.add')}
      complaint={complaintOf(addScheduleBody, body)}
      call={(client) => client.call(ENDPOINTS['schedule.add'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <Group grow align="start">
        <TextInput
          label={t('word.name')}
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
          data-autofocus
        />
        <Select
          label={t('schedule.what')}
          data={SCHEDULED_ACTIONS.map((value) => ({ value, label: t(`schedule.action.${value}`) }))}
          value={action}
          allowDeselect={false}
          onChange={(value) => setAction(value as ScheduledAction)}
        />
      </Group>
      <Group grow align="start">
        <TextInput
          label={t('schedule.cron')}
          description={t('schedule.cronText')}
          value={cron}
          onChange={(event) => setCron(event.currentTarget.value)}
        />
        <TextInput
          label={t('schedule.timeZone')}
          description={t('schedule.timeZoneText')}
          value={timeZone}
          onChange={(event) => setTimeZone(event.currentTarget.value)}
        />
      </Group>
      {action === 'snapshot' ? (
        <NumberInput label={t('schedule.keep')} min={1} value={keep} onChange={(value) => setKeep(Number(value))} />
      ) : null}
      <Checkbox
        label={t('schedule.missed')}
        checked={isCaughtUp}
        onChange={(event) => setCaughtUp(event.currentTarget.checked)}
      />
    </ChangeDialog>
  )
}
