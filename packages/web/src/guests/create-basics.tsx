import { Group, NumberInput, Select, Stack, TextInput } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { Panel } from '../parts/page.tsx'
import { withImage, type CreateForm } from './create-form.ts'
import type { FieldsProps } from './create-page.tsx'
import type { CreateSources } from './create-sources.ts'

interface BasicsProps extends FieldsProps {
  readonly sources: CreateSources
  readonly onForm: (change: (form: CreateForm) => CreateForm) => void
}

/** What it is called, made of, and how large. */
export function CreateBasics({ form, onChange, complaint, sources, onForm }: BasicsProps) {
  const t = useText()
  const hosts = useHosts().filter(({ role }) => role === 'compute')
  const isMachine = form.kind === 'vm'
  const image = form.disks[0]?.image ?? ''
  return (
    <Panel title={t('create.what')}>
      <Stack>
        <TextInput
          label={t('word.name')}
          description={t('create.nameText')}
          value={form.name}
          error={complaint('name')}
          onChange={(event) => onChange({ name: event.currentTarget.value })}
          autoComplete="off"
          autoFocus
        />
        {isMachine ? (
          <Group grow align="start">
            <Select
              label={t('create.image')}
              description={t('create.imageText')}
              placeholder={t('create.noImage')}
              data={sources.disks.map(({ name }) => name)}
              value={image === '' ? null : image}
              onChange={(name) =>
                onForm((before) =>
                  withImage(
                    before,
                    sources.disks.find((one) => one.name === name),
                  ),
                )
              }
              clearable
              searchable
              nothingFoundMessage={t('create.noSource')}
            />
            <Select
              label={t('create.cdrom')}
              description={t('create.cdromText')}
              placeholder={t('create.noCdrom')}
              data={[...sources.isos]}
              value={form.cdrom === '' ? null : form.cdrom}
              onChange={(cdrom) => onChange({ cdrom: cdrom ?? '' })}
              clearable
              nothingFoundMessage={t('create.noSource')}
            />
          </Group>
        ) : (
          <Select
            label={t('guest.template')}
            placeholder={t('create.chooseTemplate')}
            data={[...sources.templates]}
            value={form.template === '' ? null : form.template}
            error={complaint('container.template')}
            onChange={(template) => onChange({ template: template ?? '' })}
            searchable
            nothingFoundMessage={t('create.noSource')}
          />
        )}
        <Group grow align="start">
          <NumberInput
            label={t('column.cpus')}
            min={1}
            max={256}
            value={form.cpus}
            error={complaint('cpus')}
            onChange={(value) => onChange({ cpus: Number(value) })}
          />
          <NumberInput
            label={t('create.memory')}
            min={0.125}
            step={1}
            decimalScale={3}
            value={form.memoryGib}
            error={complaint('memoryBytes')}
            onChange={(value) => onChange({ memoryGib: Number(value) })}
          />
        </Group>
        {isMachine ? (
          <Group grow align="start">
            <NumberInput
              label={t('create.cpusMax')}
              placeholder={String(Math.min(16, form.cpus * 4))}
              min={form.cpus}
              max={256}
              value={form.cpusMax}
              error={complaint('cpusMax')}
              onChange={(value) => onChange({ cpusMax: value === '' ? '' : Number(value) })}
            />
            <NumberInput
              label={t('create.memoryMax')}
              placeholder={t('create.atNextStart')}
              min={form.memoryGib}
              step={1}
              decimalScale={3}
              value={form.memoryMaxGib}
              error={complaint('memoryMaxBytes')}
              onChange={(value) => onChange({ memoryMaxGib: value === '' ? '' : Number(value) })}
            />
          </Group>
        ) : null}
        <Group grow align="start">
          <Select
            label={t('create.host')}
            placeholder={t('create.anyHost')}
            data={hosts.map(({ name }) => name)}
            value={form.host === '' ? null : form.host}
            onChange={(host) => onChange({ host: host ?? '' })}
            clearable
          />
          {sources.projects.length > 1 ? (
            <Select
              label={t('create.project')}
              placeholder="default"
              data={[...sources.projects]}
              value={form.project === '' ? null : form.project}
              onChange={(project) => onChange({ project: project ?? '' })}
              clearable
            />
          ) : null}
        </Group>
      </Stack>
    </Panel>
  )
}
