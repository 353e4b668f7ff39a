/** How it is found out whether the guest is ready to serve, and what that has found. */
import { Button, Group, NumberInput, Select, TextInput } from '@mantine/core'
import { useState } from 'react'
import { setProbeBody } from '@stead/api/endpoints/lifecycle.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { durationText } from '../parts/figures.ts'
import { Empty, Facts, Panel } from '../parts/page.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { probeForm, probeOf, PROBE_KINDS, type ProbeForm } from './probe-form.ts'

export function ProbePanel({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const [asked, setAsked] = useState<'set' | 'remove'>()
  const { probe, readiness } = guest
  const close = () => setAsked(undefined)
  return (
    <Panel
      title={t('probe.title')}
      aside={
        <Group gap={8}>
          {probe ? (
            <Button size="compact-xs" variant="default" onClick={() => setAsked('remove')}>
              {t('probe.remove')}
            </Button>
          ) : null}
          <Button size="compact-xs" variant="default" onClick={() => setAsked('set')}>
            {t(probe ? 'probe.change' : 'probe.add')}
          </Button>
        </Group>
      }
    >
      {probe ? (
        <Facts
          items={[
            [t('probe.check'), t(`probe.kind.${probe.check.kind}`)],
            [t('probe.period'), durationText(probe.periodMs, language)],
            [t('probe.onFailure'), t(`probe.onFailure.${probe.onFailure}`)],
            [
              t('guest.ready'),
              readiness
                ? [t(readiness.ready ? 'word.yes' : 'word.no'), readiness.reason].filter(Boolean).join(': ')
                : '–',
            ],
          ]}
        />
      ) : (
        <Empty icon="check" title={t('probe.none')} text={t('probe.noneText')} />
      )}
      {asked === 'set' ? <SetProbeDialog guest={guest} onClose={close} /> : null}
      {asked === 'remove' ? (
        <ChangeDialog
          title={t('probe.removeTitle', { name: guest.name })}
          confirm={t('probe.remove')}
          call={(client) => client.call(ENDPOINTS['probe.remove'], { params: { guest: guest.name } })}
          onClose={close}
        />
      ) : null}
    </Panel>
  )
}

type NumberOfProbe =
  | 'port'
  | 'periodSeconds'
  | 'timeoutMs'
  | 'failureThreshold'
  | 'successThreshold'
  | 'initialDelaySeconds'

function SetProbeDialog({ guest, onClose }: { guest: GuestView; onClose: () => void }) {
  const t = useText()
  const [form, setForm] = useState(() => probeForm(guest.probe))
  const change = (part: Partial<ProbeForm>) => setForm((before) => ({ ...before, ...part }))
  const number = (name: NumberOfProbe) => ({
    value: form[name],
    onChange: (value: string | number) => change({ [name]: Number(value) }),
  })
  const text = (name: 'address' | 'path' | 'find') => ({
    value: form[name],
    onChange: (event: { currentTarget: { value: string } }) => change({ [name]: event.currentTarget.value }),
  })
  const body = probeOf(form)
  const isNetwork = form.kind === 'tcp' || form.kind === 'http'
  return (
    <ChangeDialog
      title={t('probe.setTitle', { name: guest.name })}
      confirm={t('word.save')}
      complaint={complaintOf(setProbeBody, body)}
      call={(client) => client.call(ENDPOINTS['probe.set'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <Select
        label={t('probe.check')}
        data={PROBE_KINDS.map((value) => ({ value, label: t(`probe.kind.${value}`) }))}
        value={form.kind}
        allowDeselect={false}
        onChange={(value) => change({ kind: value as ProbeForm['kind'] })}
      />
      {isNetwork ? (
        <Group grow align="start">
          <NumberInput label={t('probe.port')} min={1} max={65_535} {...number('port')} />
          <TextInput label={t('probe.address')} placeholder={t('probe.addressOfAgent')} {...text('address')} />
        </Group>
      ) : null}
      {form.kind === 'http' ? <TextInput label={t('probe.path')} {...text('path')} /> : null}
      {form.kind === 'console' ? <TextInput label={t('probe.find')} {...text('find')} /> : null}
      <Group grow align="start">
        <NumberInput label={t('probe.periodSeconds')} min={0.5} {...number('periodSeconds')} />
        <NumberInput label={t('probe.timeoutMs')} min={50} max={60_000} {...number('timeoutMs')} />
        <NumberInput label={t('probe.initialDelay')} min={0} max={3_600} {...number('initialDelaySeconds')} />
      </Group>
      <Group grow align="start">
        <NumberInput label={t('probe.failures')} min={1} max={100} {...number('failureThreshold')} />
        <NumberInput label={t('probe.successes')} min={1} max={100} {...number('successThreshold')} />
      </Group>
      <Select
        label={t('probe.onFailure')}
        data={(['report', 'restart'] as const).map((value) => ({ value, label: t(`probe.onFailure.${value}`) }))}
        value={form.onFailure}
        allowDeselect={false}
        onChange={(value) => change({ onFailure: value as ProbeForm['onFailure'] })}
      />
    </ChangeDialog>
  )
}
