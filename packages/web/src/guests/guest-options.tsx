import { Button, Group, NumberInput, Select, Stack, Switch, TagsInput, Textarea } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { setGuestBody } from '@stead/api/endpoints/guests.ts'
import { describeIssues } from '@stead/api/issues.ts'
import type { GuestView } from '@stead/api/views.ts'
import { failure as newFailure, type Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { Panel } from '../parts/page.tsx'
import { useSession } from '../session/session-context.ts'
import classes from './guest-tabs.module.css'
import { ProbePanel } from './probe-panel.tsx'
import { RootCopyPanel } from './root-copy-panel.tsx'
import { SchedulesPanel } from './schedules-panel.tsx'

const HA = ['started', 'stopped', 'ignored'] as const

/** What can be set of a guest at any time, how it is watched, and what is done to it at set times. */
export function GuestOptions({ guest }: { guest: GuestView }) {
  return (
    <div className={classes.column}>
      <Settings guest={guest} />
      {guest.volumes[0]?.form === 'subvolume' ? <RootCopyPanel guest={guest} /> : null}
      <ProbePanel guest={guest} />
      <SchedulesPanel guest={guest} />
    </div>
  )
}

function Settings({ guest }: { guest: GuestView }) {
  const t = useText()
  const { client } = useSession()
  const [form, setForm] = useState(() => ({
    ha: guest.ha,
    priority: guest.priority,
    maxRestart: guest.maxRestart,
    maxRelocate: guest.maxRelocate,
    failback: guest.failback,
    autostart: guest.autostart,
    agent: { execute: guest.agent.execute },
    protectedFrom: guest.protectedFrom,
    tags: guest.tags,
    notes: guest.notes,
  }))
  const [failure, setFailure] = useState<Failure>()
  const [isSaved, setSaved] = useState(false)
  const change = (part: Partial<typeof form>) => {
    setSaved(false)
    setForm((before) => ({ ...before, ...part }))
  }
  const protect = (what: 'delete' | 'stop', isOn: boolean) =>
    change({ protectedFrom: [...form.protectedFrom.filter((one) => one !== what), ...(isOn ? [what] : [])] })

  const save = async () => {
    const checked = setGuestBody.safeParse(form)
    if (!checked.success) {
      const { message, hint } = describeIssues(checked.error.issues, setGuestBody)
      return setFailure(newFailure('bad_request', message, hint === undefined ? {} : { hint }))
    }
    const done = await client.call(
      ENDPOINTS['guest.set'],
      { params: { guest: guest.name }, body: form },
      { ifMatch: guest.revision },
    )
    setFailure(done.ok ? undefined : done.error)
    setSaved(done.ok)
  }

  return (
    <Panel title={t('tab.options')}>
      <Stack maw={560}>
        <Select
          label={t('guest.ha')}
          description={t('options.haText')}
          data={HA.map((value) => ({ value, label: t(`ha.${value}`) }))}
          value={form.ha}
          onChange={(value) => change({ ha: (value ?? 'started') as GuestView['ha'] })}
          allowDeselect={false}
        />
        <NumberInput
          label={t('options.priority')}
          description={t('options.priorityText')}
          min={-1000}
          max={1000}
          value={form.priority}
          onChange={(value) => change({ priority: Number(value) })}
        />
        <Group grow align="start">
          <NumberInput
            label={t('options.maxRestart')}
            description={t('options.maxRestartText')}
            min={0}
            max={100}
            value={form.maxRestart}
            onChange={(value) => change({ maxRestart: Number(value) })}
          />
          <NumberInput
            label={t('options.maxRelocate')}
            description={t('options.maxRelocateText')}
            min={0}
            max={100}
            value={form.maxRelocate}
            onChange={(value) => change({ maxRelocate: Number(value) })}
          />
        </Group>
        <Switch
          label={t('options.failback')}
          checked={form.failback}
          onChange={(event) => change({ failback: event.currentTarget.checked })}
        />
        <Switch
          label={t('options.autostart')}
          checked={form.autostart}
          onChange={(event) => change({ autostart: event.currentTarget.checked })}
        />
        <Switch
          label={t('options.protectDelete')}
          checked={form.protectedFrom.includes('delete')}
          onChange={(event) => protect('delete', event.currentTarget.checked)}
        />
        <Switch
          label={t('options.protectStop')}
          checked={form.protectedFrom.includes('stop')}
          onChange={(event) => protect('stop', event.currentTarget.checked)}
        />
        {guest.kind === 'vm' ? (
          <Switch
            label={t('options.agentExecute')}
            description={t('options.agentExecuteText')}
            checked={form.agent.execute}
            onChange={(event) => change({ agent: { execute: event.currentTarget.checked } })}
          />
        ) : null}
        <TagsInput label={t('column.tags')} value={form.tags} onChange={(tags) => change({ tags })} />
        <Textarea
          label={t('guest.notes')}
          autosize
          minRows={3}
          value={form.notes}
          onChange={(event) => change({ notes: event.currentTarget.value })}
        />
        {failure ? <FailureAlert failure={failure} /> : null}
        <Group>
          <Button onClick={() => void save()}>{t('word.save')}</Button>
          <span role="status">{isSaved ? t('options.saved') : ''}</span>
        </Group>
      </Stack>
    </Panel>
  )
}
