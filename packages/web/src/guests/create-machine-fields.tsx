import { Checkbox, Group, MultiSelect, NumberInput, Select, Stack } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { Panel } from '../parts/page.tsx'
import type { CreateForm } from './create-form.ts'
import type { FieldsProps } from './create-page.tsx'

const FIRMWARE = ['bios', 'uefi', 'uefi-secure'] as const
const WATCHDOGS = ['poweroff', 'reset', 'pause'] as const
const PROCESSORS = ['baseline', 'host'] as const

/** The machine that it sees. */
export function CreateMachineFields({ form, onChange, complaint }: FieldsProps) {
  const t = useText()
  const hosts = useHosts()
  const devices = [...new Set(hosts.flatMap((host) => host.devices.map(({ name }) => name)))].toSorted()
  const hasHugePages = hosts.some(({ hugePages }) => Object.keys(hugePages).length > 0)
  return (
    <Panel title={t('hardware.machine')}>
      <Stack>
        <Group grow align="start">
          <Select
            label={t('hardware.firmware')}
            data={FIRMWARE.map((value) => ({ value, label: t(`create.firmware.${value}`) }))}
            value={form.firmware}
            allowDeselect={false}
            onChange={(value) => onChange({ firmware: value as CreateForm['firmware'] })}
          />
          <Select
            label={t('create.processor')}
            data={PROCESSORS.map((value) => ({ value, label: t(`create.processor.${value}`) }))}
            value={form.processor}
            allowDeselect={false}
            onChange={(value) => onChange({ processor: value as CreateForm['processor'] })}
          />
        </Group>
        <Group grow align="start">
          <Select
            label={t('hardware.watchdog')}
            placeholder={t('word.no')}
            data={WATCHDOGS.map((value) => ({ value, label: t(`create.watchdog.${value}`) }))}
            value={form.watchdog === '' ? null : form.watchdog}
            onChange={(value) => onChange({ watchdog: (value ?? '') as CreateForm['watchdog'] })}
            clearable
          />
          <NumberInput
            label={t('hardware.numaNodes')}
            min={1}
            max={16}
            value={form.numaNodes}
            error={complaint('platform.numaNodes')}
            onChange={(value) => onChange({ numaNodes: Number(value) })}
          />
          {hasHugePages ? (
            <Select
              label={t('hardware.hugePages')}
              placeholder={t('word.no')}
              data={['2M', '1G']}
              value={form.hugePages === '' ? null : form.hugePages}
              onChange={(value) => onChange({ hugePages: (value ?? '') as CreateForm['hugePages'] })}
              clearable
            />
          ) : null}
        </Group>
        {devices.length === 0 ? null : (
          <MultiSelect
            label={t('hardware.devices')}
            data={devices}
            value={[...form.devices]}
            onChange={(value) => onChange({ devices: value })}
          />
        )}
        <Checkbox
          label={t('create.display')}
          checked={form.display}
          onChange={(event) => onChange({ display: event.currentTarget.checked })}
        />
        <Checkbox
          label={t('hardware.tpm')}
          checked={form.tpm}
          onChange={(event) => onChange({ tpm: event.currentTarget.checked })}
        />
        <Checkbox
          label={t('hardware.dedicated')}
          checked={form.dedicatedCpus}
          onChange={(event) => onChange({ dedicatedCpus: event.currentTarget.checked })}
        />
        <Checkbox
          label={t('create.nic')}
          checked={form.nic}
          onChange={(event) => onChange({ nic: event.currentTarget.checked })}
        />
      </Stack>
    </Panel>
  )
}
