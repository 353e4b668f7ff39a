/** What cloud-init tells a machine: of a new one, and of one that there is. */
import { Group, Select, Textarea, TextInput } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import type { CloudInitForm } from './create-cloud-init.ts'

const ADDRESSING = ['image', 'dhcp', 'static'] as const

export interface CloudInitFieldsProps {
  readonly form: CloudInitForm
  /** Of the guest. */
  readonly name: string
  readonly onChange: (part: Partial<CloudInitForm>) => void
  /** By the place in its settings: `network.address`. */
  readonly complaint: (path: string) => string | undefined
}

export function CloudInitFields({ form, name, onChange, complaint }: CloudInitFieldsProps) {
  const t = useText()
  return (
    <>
      <Group grow align="start">
        <TextInput
          label={t('create.user')}
          placeholder={t('create.userOfImage')}
          value={form.user}
          error={complaint('user')}
          onChange={(event) => onChange({ user: event.currentTarget.value })}
          autoComplete="off"
        />
        <TextInput
          label={t('hardware.hostname')}
          placeholder={name}
          value={form.hostname}
          error={complaint('hostname')}
          onChange={(event) => onChange({ hostname: event.currentTarget.value })}
          autoComplete="off"
        />
      </Group>
      <Textarea
        label={t('create.sshKeys')}
        description={t('create.sshKeysText')}
        placeholder="ssh-ed25519 AAAA… alice@laptop"
        autosize
        minRows={2}
        maxRows={8}
        value={form.sshKeys}
        error={complaint('sshKeys')}
        onChange={(event) => onChange({ sshKeys: event.currentTarget.value })}
        spellCheck={false}
      />
      <Select
        label={t('create.addressing')}
        data={ADDRESSING.map((value) => ({ value, label: t(`create.addressing.${value}`) }))}
        value={form.addressing}
        allowDeselect={false}
        onChange={(value) => onChange({ addressing: value as CloudInitForm['addressing'] })}
      />
      {form.addressing === 'static' ? (
        <Group grow align="start">
          <TextInput
            label={t('create.address')}
            placeholder="192.0.2.10/24"
            value={form.address}
            error={complaint('network.address')}
            onChange={(event) => onChange({ address: event.currentTarget.value })}
          />
          <TextInput
            label={t('create.gateway')}
            placeholder="192.0.2.1"
            value={form.gateway}
            error={complaint('network.gateway')}
            onChange={(event) => onChange({ gateway: event.currentTarget.value })}
          />
          <TextInput
            label={t('hardware.nameservers')}
            placeholder="192.0.2.1, 192.0.2.2"
            value={form.nameservers}
            error={complaint('network.nameservers')}
            onChange={(event) => onChange({ nameservers: event.currentTarget.value })}
          />
        </Group>
      ) : null}
      <Textarea
        label={t('create.userData')}
        description={t('create.userDataText')}
        placeholder="#cloud-config"
        autosize
        minRows={2}
        maxRows={12}
        value={form.userData}
        error={complaint('userData')}
        onChange={(event) => onChange({ userData: event.currentTarget.value })}
        spellCheck={false}
      />
    </>
  )
}
