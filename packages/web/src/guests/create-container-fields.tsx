import { Checkbox, Group, NumberInput, Select, Stack, Textarea, TextInput } from '@mantine/core'
import { CONTAINER_PRESETS, presetParts } from '@stead/core/model/container-presets.ts'
import { useText } from '../i18n/texts.ts'
import { Panel } from '../parts/page.tsx'
import type { LimitsForm } from './container-limits-form.ts'
import { GIB, type CreateForm } from './create-form.ts'
import type { FieldsProps } from './create-page.tsx'

/** Its network, what it may use, how far it is kept in. */
export function CreateContainerFields({ form, onChange, complaint }: FieldsProps) {
  const t = useText()
  const text = (field: 'addresses' | 'gateways' | 'nameservers' | 'searchDomains' | 'hostname', example: string) => ({
    placeholder: example,
    value: form[field],
    error: complaint(`container.${field}`),
    onChange: (event: { currentTarget: { value: string } }) => onChange({ [field]: event.currentTarget.value }),
  })
  const limit = (part: Partial<LimitsForm>) => onChange({ limits: { ...form.limits, ...part } })
  return (
    <>
      <Panel title={t('hardware.network')}>
        <Stack>
          <Checkbox
            label={t('create.nic')}
            checked={form.nic}
            onChange={(event) => onChange({ nic: event.currentTarget.checked })}
          />
          <TextInput
            label={t('guest.addresses')}
            description={t('create.addressesText')}
            {...text('addresses', '192.0.2.10/24')}
          />
          <Group grow align="start">
            <TextInput label={t('hardware.gateways')} {...text('gateways', '192.0.2.1')} />
            <TextInput label={t('hardware.hostname')} {...text('hostname', form.name)} />
          </Group>
          <Group grow align="start">
            <TextInput label={t('hardware.nameservers')} {...text('nameservers', '192.0.2.1')} />
            <TextInput label={t('create.searchDomains')} {...text('searchDomains', 'example.org')} />
          </Group>
        </Stack>
      </Panel>
      <Panel title={t('create.limits')}>
        <Stack>
          <Group grow align="start">
            <Select
              label={t('create.preset')}
              placeholder={t('create.noPreset')}
              data={Object.keys(CONTAINER_PRESETS)}
              value={form.limits.preset === '' ? null : form.limits.preset}
              onChange={(preset) => onChange(withPreset(form, preset ?? ''))}
              clearable
            />
            <NumberInput
              label={t('create.processes')}
              min={8}
              value={form.limits.processes}
              onChange={(value) => limit({ processes: value === '' ? '' : Number(value) })}
            />
            <NumberInput
              label={t('create.swap')}
              min={0}
              decimalScale={3}
              value={form.limits.swapGib}
              onChange={(value) => limit({ swapGib: value === '' ? '' : Number(value) })}
            />
          </Group>
          <Textarea
            label={t('create.moreLimits')}
            description={t('create.moreLimitsText')}
            placeholder="numfile=1024:2048"
            autosize
            minRows={2}
            value={form.limits.others}
            error={complaint('container.limits')}
            onChange={(event) => limit({ others: event.currentTarget.value })}
            spellCheck={false}
          />
          <Checkbox
            label={t('hardware.nesting')}
            description={t('create.nestingText')}
            checked={form.nesting}
            onChange={(event) => onChange({ nesting: event.currentTarget.checked })}
          />
          <Checkbox
            label={t('hardware.privileged')}
            description={t('create.privilegedText')}
            checked={form.privileged}
            onChange={(event) => onChange({ privileged: event.currentTarget.checked })}
          />
        </Stack>
      </Panel>
    </>
  )
}

/** A preset also says how much memory and disk it has. */
function withPreset(form: CreateForm, preset: string): Partial<CreateForm> {
  const { memoryBytes, diskBytes } = presetParts(preset) ?? {}
  return {
    limits: { ...form.limits, preset },
    ...(memoryBytes === undefined ? {} : { memoryGib: memoryBytes / GIB }),
    ...(diskBytes === undefined
      ? {}
      : {
          disks: form.disks.map((disk, index) =>
            index === 0 ? { ...disk, sizeGib: Math.max(1, Math.round(diskBytes / GIB)) } : disk,
          ),
        }),
  }
}
