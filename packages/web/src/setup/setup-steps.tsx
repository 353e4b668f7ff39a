/** What the wizard asks, a step each. */
import { Button, NumberInput, Radio, Select, SimpleGrid, Stack, Textarea } from '@mantine/core'
import type { SetupView } from '@stead/api/endpoints/set-up.ts'
import { NETWORK_ROLES, type NetworkRole } from '@stead/core/model/host.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { bytesText, speedText } from '../parts/figures.ts'
import { FieldGroup } from '../parts/field-group.tsx'
import { Icon } from '../parts/icon.tsx'
import { TextField } from '../parts/text-field.tsx'
import {
  addressesOf,
  isWitness,
  portFindings,
  portsToCome,
  proposedPool,
  purposeOf,
  SCENARIOS,
  type PortAddress,
  type Scenario,
  type SetupForm,
  type SetupPool,
} from './setup-form.ts'
import { BondFields } from './bond-fields.tsx'
import classes from './setup-page.module.css'

export interface StepProps {
  readonly form: SetupForm
  readonly change: (part: Partial<SetupForm>) => void
  readonly host: SetupView
  /** Looks at the host again, where something was changed with the system's own means. */
  readonly onLook: () => void
}

export function WhatStep({ form, change }: StepProps) {
  const t = useText()
  const purpose = purposeOf(form.token)
  return (
    <>
      <Radio.Group
        label={t('setup.what')}
        value={form.scenario}
        onChange={(scenario) => change({ scenario: scenario as Scenario })}
      >
        <Stack mt="sm">
          {SCENARIOS.map((value) => (
            <Radio
              key={value}
              value={value}
              label={t(`setup.scenario.${value}`)}
              description={t(`setup.scenarioText.${value}`)}
            />
          ))}
        </Stack>
      </Radio.Group>
      {form.scenario === 'join' ? (
        <div>
          <Textarea
            label={t('setup.token')}
            description={t('setup.tokenText')}
            value={form.token}
            onChange={(event) => change({ token: event.currentTarget.value })}
            rows={4}
            spellCheck={false}
          />
          <p className={classes.dim} role="status">
            {purpose ? t(`setup.tokenIs.${purpose.role}`, { cluster: purpose.cluster }) : null}
          </p>
        </div>
      ) : null}
    </>
  )
}

export function NetworksStep({ form, change, host, onLook }: StepProps) {
  const t = useText()
  return (
    <>
      <TextField
        label={t('setup.host')}
        description={t('setup.hostText')}
        value={form.host}
        onChange={(next) => change({ host: next })}
      />
      <BondFields {...{ form, change, host }} />
      {NETWORK_ROLES.map((role) => (
        <RoleField key={role} {...{ role, form, change, host }} />
      ))}
      <p className={classes.dim}>{t('setup.portsText')}</p>
      <Button variant="default" size="compact-sm" onClick={onLook} className={classes.alone ?? ''}>
        {t('setup.look')}
      </Button>
      {isWitness(form) ? null : (
        <TextField
          label={t('setup.guestUser')}
          description={t('setup.guestUserText')}
          value={form.guestUser}
          onChange={(guestUser) => change({ guestUser })}
        />
      )}
    </>
  )
}

function RoleField({ role, form, change, host }: Omit<StepProps, 'onLook'> & { role: NetworkRole }) {
  const t = useText()
  const language = useLanguage()
  const ports = portsToCome(host.ports, form.bonds)
  const known = addressesOf(ports)
  const speedOf = (megabits: number) => speedText(megabits * 1e6, language)
  const nameOf = ({ address, port }: PortAddress) => {
    const speed = port.speedMbits === null ? t('setup.speedUnknown') : speedOf(port.speedMbits)
    return `${address} · ${port.name} · ${port.up ? speed : t('setup.noLink')}`
  }
  const none = role === 'lan' ? [] : [{ value: '', label: t('setup.noneOfItsOwn') }]
  return (
    <div>
      <Select
        label={t(`setup.role.${role}`)}
        description={t(`setup.roleText.${role}`)}
        data={[...none, ...known.map((one) => ({ value: one.address, label: nameOf(one) }))]}
        value={form.addresses[role]}
        onChange={(address) => change({ addresses: { ...form.addresses, [role]: address ?? '' } })}
        allowDeselect={false}
      />
      <div role="status">
        {portFindings(role, form, ports).map((finding) => (
          <p key={finding.kind} className={classes.finding}>
            <Icon name="warning" size={15} />
            {finding.kind === 'no-link' ? t('setup.finding.noLink', { port: finding.port }) : null}
            {finding.kind === 'slow'
              ? t('setup.finding.slow', { port: finding.port, speed: speedOf(finding.speedMbits) })
              : null}
            {finding.kind === 'shared'
              ? t('setup.finding.shared', { port: finding.port, network: finding.with.toUpperCase() })
              : null}
          </p>
        ))}
      </div>
    </div>
  )
}

export function DisksStep({ form, change, host, onLook }: StepProps) {
  const t = useText()
  const language = useLanguage()
  const free = host.disks.filter(({ usedBy }) => usedBy.length === 0)
  const set = (index: number, part: Partial<SetupPool>) =>
    change({ pools: form.pools.map((pool, at) => (at === index ? { ...pool, ...part } : pool)) })
  const add = () => {
    const used = new Set(form.pools.map(({ path }) => path))
    const next = host.fileSystems.map(proposedPool).find(({ path }) => !used.has(path))
    const names = new Set(form.pools.map(({ name }) => name))
    const name = names.has('default') ? `pool${form.pools.length + 1}` : 'default'
    change({ pools: [...form.pools, { ...(next ?? { path: '/srv/stead', sizeGib: 10 }), name }] })
  }
  return (
    <>
      <p className={classes.text}>{t('setup.disksText')}</p>
      <ul className={classes.facts} aria-label={t('setup.fileSystems')}>
        {host.fileSystems.map(({ path, device, type, freeBytes }) => (
          <li key={path}>
            <code>{path}</code> {t('setup.fileSystem', { device, type, free: bytesText(freeBytes, language) })}
          </li>
        ))}
      </ul>
      {free.length === 0 ? null : (
        <p className={classes.finding}>
          <Icon name="volume" size={15} />
          {t('setup.freeDisks', {
            disks: free.map(({ name, sizeBytes }) => `${name} (${bytesText(sizeBytes, language)})`).join(', '),
          })}
        </p>
      )}
      <Button variant="default" size="compact-sm" onClick={onLook} className={classes.alone ?? ''}>
        {t('setup.look')}
      </Button>
      {form.pools.map((pool, index) => (
        // Pools have no other identity than their place.
        <FieldGroup key={index} title={t('setup.pool', { number: index + 1 })}>
          <SimpleGrid cols={{ base: 1, xs: 3 }}>
            <TextField label={t('word.name')} value={pool.name} onChange={(name) => set(index, { name })} />
            <TextField label={t('setup.folder')} value={pool.path} onChange={(path) => set(index, { path })} />
            <NumberInput
              label={t('setup.size')}
              min={1}
              value={pool.sizeGib}
              onChange={(size) => set(index, { sizeGib: Number(size) })}
            />
          </SimpleGrid>
          <Button
            mt="xs"
            size="compact-xs"
            variant="default"
            onClick={() => change({ pools: form.pools.filter((_, at) => at !== index) })}
          >
            {t('setup.removePool', { number: index + 1 })}
          </Button>
        </FieldGroup>
      ))}
      <Button variant="default" size="compact-sm" onClick={add} className={classes.alone ?? ''}>
        {t('setup.addPool')}
      </Button>
    </>
  )
}

export function ClusterStep({ form, change }: StepProps) {
  const t = useText()
  return (
    <>
      <TextField
        label={t('setup.cluster')}
        description={t('setup.clusterText')}
        value={form.cluster}
        onChange={(cluster) => change({ cluster })}
        data-autofocus
      />
      <TextField
        label={t('setup.clusterAddress')}
        description={t('setup.clusterAddressText')}
        value={form.clusterAddress}
        onChange={(clusterAddress) => change({ clusterAddress })}
      />
      <TextField
        label={t('setup.administrator')}
        description={t('setup.administratorText')}
        value={form.administrator}
        onChange={(administrator) => change({ administrator })}
      />
    </>
  )
}
