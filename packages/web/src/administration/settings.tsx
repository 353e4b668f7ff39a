/** The cluster's policy: what it must bear, how it balances, whether it acts by itself, whether a look is demanded first,
 * whose templates it trusts. */
import { Button, Group, NumberInput, Select, Stack, Switch, Textarea } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { PolicyView } from '@stead/api/views.ts'
import { DEFAULT_MIGRATION, DEFAULT_PASSWORDS } from '@stead/core/model/cluster-policy.ts'
import { useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { Panel, Panels } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { useRefusal } from '../session/privileges.ts'
import classes from './listing.module.css'
import { Authority } from './authority.tsx'
import { Certificate } from './certificate.tsx'
import { HostsAuthority } from './hosts-authority.tsx'
import { TemplateKeys } from './template-keys.tsx'

const ON_BREACH = ['ignore', 'warn', 'refuse'] as const
const BALANCING = ['off', 'recommend', 'automatic'] as const
const SHUTDOWN = ['failover', 'freeze', 'migrate', 'conditional'] as const
const GIB = 2 ** 30
const MIB = 2 ** 20
const SECOND_MS = 1_000

export function Settings() {
  const asked = useAsked(['policy'], (client) => client.call(ENDPOINTS['policy.show']))
  return <Answered asked={asked}>{(policy) => <PolicyForm key={policy.revision} policy={policy} />}</Answered>
}

function PolicyForm({ policy }: { policy: PolicyView }) {
  const t = useText()
  const refusal = useRefusal('/')('cluster.configure')
  const [form, setForm] = useState(policy)
  const [asking, setAsking] = useState<'save' | 'arm'>()
  const change = (part: Partial<PolicyView>) => setForm((before) => ({ ...before, ...part }))
  const { admission, balancing, migration = DEFAULT_MIGRATION, passwords = DEFAULT_PASSWORDS } = form
  // Keys have dialogs of their own.
  const { revision, armed, templateKeys: _, ...rest } = form
  const outboundAllow = (form.outboundAllow ?? []).map((line) => line.trim()).filter(Boolean)
  const body = { ...rest, outboundAllow }
  const close = () => setAsking(undefined)
  const choice = <Value extends string>(
    label: string,
    values: readonly Value[],
    words: (value: Value) => string,
    value: Value,
    onChange: (value: Value) => void,
  ) => (
    <Select
      label={label}
      data={values.map((one) => ({ value: one, label: words(one) }))}
      value={value}
      onChange={(next) => onChange((next ?? value) as Value)}
      allowDeselect={false}
    />
  )
  return (
    <div className={classes.sections}>
      <Panels>
        <Panel title={t('settings.protection')}>
          <Stack>
            <NumberInput
              label={t('settings.hostFailures')}
              description={t('settings.hostFailuresText')}
              min={0}
              max={4}
              value={admission.hostFailures}
              onChange={(value) => change({ admission: { ...admission, hostFailures: Number(value) } })}
            />
            {choice(
              t('settings.onBreach'),
              ON_BREACH,
              (one) => t(`settings.onBreach.${one}`),
              admission.onBreach,
              (onBreach) => change({ admission: { ...admission, onBreach } }),
            )}
            {choice(
              t('settings.shutdown'),
              SHUTDOWN,
              (one) => t(`settings.shutdown.${one}`),
              form.shutdown,
              (shutdown) => change({ shutdown }),
            )}
            <Switch
              label={t('settings.whatIfRequired')}
              description={t('settings.whatIfRequiredText')}
              checked={form.whatIfRequired}
              onChange={(event) => change({ whatIfRequired: event.currentTarget.checked })}
            />
          </Stack>
        </Panel>
        <Panel title={t('settings.room')}>
          <Stack>
            <NumberInput
              label={t('settings.overcommit')}
              min={0.1}
              max={1000}
              step={0.5}
              value={form.cpuOvercommit}
              onChange={(value) => change({ cpuOvercommit: Number(value) })}
            />
            <NumberInput
              label={t('settings.reserve')}
              min={0}
              value={form.memoryReserveBytes / GIB}
              onChange={(value) => change({ memoryReserveBytes: Math.round(Number(value) * GIB) })}
            />
            {choice(
              t('settings.balancing'),
              BALANCING,
              (one) => t(`settings.balancing.${one}`),
              balancing.mode,
              (mode) => change({ balancing: { ...balancing, mode } }),
            )}
            <NumberInput
              label={t('settings.movesPerHour')}
              min={0}
              value={balancing.movesPerHourMax}
              onChange={(value) => change({ balancing: { ...balancing, movesPerHourMax: Number(value) } })}
            />
            <Group grow align="end">
              {(['scoreMax', 'scoreGoal'] as const).map((name) => (
                <NumberInput
                  key={name}
                  label={t(`settings.${name}`)}
                  min={0}
                  max={1}
                  step={0.05}
                  decimalScale={3}
                  value={balancing[name]}
                  onChange={(value) => change({ balancing: { ...balancing, [name]: Number(value) } })}
                />
              ))}
              <NumberInput
                label={t('settings.hold')}
                min={0}
                value={balancing.holdMs / SECOND_MS}
                onChange={(value) => change({ balancing: { ...balancing, holdMs: Number(value) * SECOND_MS } })}
              />
            </Group>
          </Stack>
        </Panel>
        <Panel title={t('settings.migration')}>
          <Stack>
            <NumberInput
              label={t('settings.bandwidth')}
              description={t('settings.bandwidthText')}
              min={0}
              value={migration.bandwidthBytesPerSecond / MIB}
              onChange={(value) =>
                change({ migration: { ...migration, bandwidthBytesPerSecond: Math.round(Number(value) * MIB) } })
              }
            />
            <NumberInput
              label={t('settings.downtime')}
              min={1}
              max={10_000}
              value={migration.downtimeMs}
              onChange={(value) => change({ migration: { ...migration, downtimeMs: Number(value) } })}
            />
            <Switch
              label={t('settings.postCopy')}
              description={t('settings.postCopyText')}
              checked={migration.postCopy}
              onChange={(event) => change({ migration: { ...migration, postCopy: event.currentTarget.checked } })}
            />
            <Switch
              label={t('settings.compressed')}
              description={t('settings.compressedText')}
              disabled={migration.postCopy}
              checked={migration.compressed === true && !migration.postCopy}
              onChange={(event) => change({ migration: { ...migration, compressed: event.currentTarget.checked } })}
            />
          </Stack>
        </Panel>
        <TemplateKeys
          policy={policy}
          refusal={refusal}
          demand={form.templateSignatures ?? 'optional'}
          onDemand={(templateSignatures) => change({ templateSignatures })}
        />
        <Panel title={t('settings.passwords')}>
          <Stack>
            <NumberInput
              label={t('settings.passwordLength')}
              min={8}
              max={64}
              value={passwords.lengthMin}
              onChange={(value) => change({ passwords: { ...passwords, lengthMin: Number(value) } })}
            />
            <Switch
              label={t('settings.guessable')}
              description={t('settings.guessableText')}
              checked={passwords.refuseGuessable}
              onChange={(event) =>
                change({ passwords: { ...passwords, refuseGuessable: event.currentTarget.checked } })
              }
            />
          </Stack>
        </Panel>
        <Certificate refusal={refusal} />
        <Authority />
        <HostsAuthority refusal={refusal} />
        <Panel title={t('settings.outbound')}>
          <Textarea
            label={t('settings.outboundAllow')}
            description={t('settings.outboundText')}
            value={(form.outboundAllow ?? []).join('\n')}
            onChange={(event) => change({ outboundAllow: event.currentTarget.value.split('\n') })}
            rows={3}
            spellCheck={false}
          />
        </Panel>
      </Panels>
      <Group>
        <RefusableButton refusal={refusal} onClick={() => setAsking('save')}>
          {t('word.save')}
        </RefusableButton>
        <Button variant="default" disabled={form === policy} onClick={() => setForm(policy)}>
          {t('settings.asBefore')}
        </Button>
        <RefusableButton variant={armed ? 'default' : 'filled'} refusal={refusal} onClick={() => setAsking('arm')}>
          {armed ? t('settings.disarm') : t('settings.arm')}
        </RefusableButton>
      </Group>
      {asking === 'save' ? (
        <ChangeDialog
          title={t('settings.askSave')}
          confirm={t('word.save')}
          foreseen={[body]}
          call={(client) => client.call(ENDPOINTS['policy.set'], { body }, { ifMatch: revision })}
          onClose={close}
        />
      ) : null}
      {asking === 'arm' ? (
        <ChangeDialog
          title={armed ? t('settings.askDisarm') : t('settings.askArm')}
          confirm={armed ? t('settings.disarm') : t('settings.arm')}
          {...(armed ? { danger: { text: t('settings.disarmText') } } : {})}
          foreseen={[armed]}
          call={(client) => client.call(ENDPOINTS['policy.set'], { body: { armed: !armed } }, { ifMatch: revision })}
          onClose={close}
        >
          {armed ? null : <p className={classes.text}>{t('settings.armText')}</p>}
        </ChangeDialog>
      ) : null}
    </div>
  )
}
