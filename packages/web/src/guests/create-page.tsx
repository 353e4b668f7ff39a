/** Makes a machine or a container. While it is filled in the cluster says where the guest would go, and why. */
import { Button, Checkbox, Group, NumberInput, SegmentedControl, Select, Stack, TextInput } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState, type FormEvent } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { Page, PageHead, Panel } from '../parts/page.tsx'
import { useSession } from '../session/session-context.ts'
import { bodyOf, complaintsAbout, emptyForm, type CreateForm } from './create-form.ts'
import classes from './create-page.module.css'
import { PlacementPreview } from './placement-preview.tsx'

const PLAN_AFTER_MS = 400

export function CreateMachinePage() {
  return <CreatePage key="vm" kind="vm" />
}

export function CreateContainerPage() {
  return <CreatePage key="ct" kind="ct" />
}

function CreatePage({ kind }: { kind: CreateForm['kind'] }) {
  const t = useText()
  const navigate = useNavigate()
  const { client } = useSession()
  const [form, setForm] = useState(() => emptyForm(kind))
  const [wasTried, setTried] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [failure, setFailure] = useState<Failure>()
  const [planned] = useDebouncedValue(form, PLAN_AFTER_MS)
  const sources = useSources()
  const hosts = useHosts().filter(({ role }) => role === 'compute')
  const complaints = complaintsAbout(form)
  const change = (part: Partial<CreateForm>) => setForm((before) => ({ ...before, ...part }))
  /** Nobody likes to be scolded for what he has not written yet. */
  const complaint = (field: keyof CreateForm) =>
    wasTried || (field === 'name' && form.name !== '') ? complaints?.fields[field] : undefined

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setTried(true)
    if (complaints) return
    setBusy(true)
    const made = await client.call(ENDPOINTS['guest.create'], { body: bodyOf(form) })
    setBusy(false)
    if (made.ok) void navigate({ to: '/guests/$guest', params: { guest: made.value.guest.name } })
    else setFailure(made.error)
  }

  const ofKind = kind === 'vm' ? sources.disks : sources.templates
  return (
    <Page>
      <PageHead
        icon={kind}
        kind={t('create.button')}
        title={t(kind === 'vm' ? 'create.machine' : 'create.container')}
      />
      <form className={classes.columns} onSubmit={(event) => void submit(event)} noValidate>
        <Panel title={t('create.what')}>
          <Stack>
            <TextInput
              label={t('word.name')}
              description={t('create.nameText')}
              value={form.name}
              error={complaint('name')}
              onChange={(event) => change({ name: event.currentTarget.value })}
              autoComplete="off"
              autoFocus
            />
            <Select
              label={t(kind === 'vm' ? 'create.image' : 'guest.template')}
              description={kind === 'vm' ? t('create.imageText') : undefined}
              placeholder={kind === 'vm' ? t('create.noImage') : t('create.chooseTemplate')}
              data={ofKind}
              value={form.source === '' ? null : form.source}
              error={complaint('source')}
              onChange={(source) => change({ source: source ?? '' })}
              clearable={kind === 'vm'}
              searchable
              nothingFoundMessage={t('create.noSource')}
            />
            {kind === 'vm' ? (
              <Select
                label={t('create.cdrom')}
                placeholder={t('create.noCdrom')}
                data={sources.isos}
                value={form.cdrom === '' ? null : form.cdrom}
                onChange={(cdrom) => change({ cdrom: cdrom ?? '' })}
                clearable
                nothingFoundMessage={t('create.noSource')}
              />
            ) : null}
            <Group grow align="start">
              <NumberInput
                label={t('column.cpus')}
                min={1}
                max={256}
                value={form.cpus}
                error={complaint('cpus')}
                onChange={(value) => change({ cpus: Number(value) })}
              />
              <NumberInput
                label={t('create.memory')}
                min={0.125}
                step={1}
                decimalScale={3}
                value={form.memoryGib}
                error={complaint('memoryGib')}
                onChange={(value) => change({ memoryGib: Number(value) })}
              />
              <NumberInput
                label={t('create.disk')}
                min={1}
                value={form.diskGib}
                error={complaint('diskGib')}
                onChange={(value) => change({ diskGib: Number(value) })}
              />
            </Group>
            {kind === 'ct' ? (
              <TextInput
                label={t('guest.addresses')}
                description={t('create.addressesText')}
                placeholder="192.0.2.10/24"
                value={form.addresses}
                error={complaint('addresses')}
                onChange={(event) => change({ addresses: event.currentTarget.value })}
              />
            ) : null}
            <div>
              <div className={classes.label} id="copies-label">
                {t('create.copies')}
              </div>
              <SegmentedControl
                aria-labelledby="copies-label"
                data={['1', '2', '3'].map((value) => ({
                  value,
                  label: t(`create.copies.${value as '1' | '2' | '3'}`),
                }))}
                value={String(form.copies)}
                onChange={(value) => change({ copies: Number(value) as CreateForm['copies'] })}
              />
            </div>
            <Select
              label={t('create.host')}
              placeholder={t('create.anyHost')}
              data={hosts.map(({ name }) => name)}
              value={form.host === '' ? null : form.host}
              onChange={(host) => change({ host: host ?? '' })}
              clearable
            />
            {kind === 'vm' ? (
              <>
                <Checkbox
                  label={t('create.display')}
                  checked={form.display}
                  onChange={(event) => change({ display: event.currentTarget.checked })}
                />
                <Checkbox
                  label={t('create.uefi')}
                  checked={form.uefi}
                  onChange={(event) => change({ uefi: event.currentTarget.checked })}
                />
              </>
            ) : null}
            <Checkbox
              label={t('create.start')}
              checked={form.start}
              onChange={(event) => change({ start: event.currentTarget.checked })}
            />
            {wasTried && complaints && complaints.rest !== '' ? (
              <p className={classes.rest}>{complaints.rest}</p>
            ) : null}
            {failure ? <FailureAlert failure={failure} /> : null}
            <Group justify="flex-end">
              <Button variant="default" onClick={() => void navigate({ to: '/guests' })}>
                {t('word.cancel')}
              </Button>
              <Button type="submit" loading={isBusy}>
                {t('create.button')}
              </Button>
            </Group>
          </Stack>
        </Panel>
        <Panel title={t('create.where')}>
          <PlacementPreview form={planned} />
        </Panel>
      </form>
    </Page>
  )
}

/** Names of what guests can be made of. */
function useSources() {
  const { client } = useSession()
  const images = useQuery({ queryKey: ['images'], queryFn: () => client.call(ENDPOINTS['image.list']) })
  const templates = useQuery({ queryKey: ['templates'], queryFn: () => client.call(ENDPOINTS['template.list']) })
  const all = images.data?.ok ? images.data.value.items : []
  return {
    disks: all.filter(({ kind }) => kind === undefined || kind === 'disk').map(({ name }) => name),
    isos: all.filter(({ kind }) => kind === 'iso').map(({ name }) => name),
    templates: [...new Set(templates.data?.ok ? templates.data.value.items.map(({ name }) => name) : [])],
  }
}
