/** Makes a machine or a container. While it is filled in the cluster says where the guest would go, and why. */
import { Button, Checkbox, Group } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { useNavigate } from '@tanstack/react-router'
import { useState, type FormEvent } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { AcceptBreach } from '../parts/change-dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { Page, PageHead, Panel } from '../parts/page.tsx'
import { useSession } from '../session/session-context.ts'
import { CreateBasics } from './create-basics.tsx'
import { CreateContainerFields } from './create-container-fields.tsx'
import { CreateDisks } from './create-disks.tsx'
import { CreateFirstLogin } from './create-first-login.tsx'
import { bodyOf, complaintsAbout, emptyForm, type CreateForm } from './create-form.ts'
import { CreateMachineFields } from './create-machine-fields.tsx'
import classes from './create-page.module.css'
import { useCreateSources } from './create-sources.ts'
import { PlacementPreview } from './placement-preview.tsx'

const PLAN_AFTER_MS = 400

export interface FieldsProps {
  readonly form: CreateForm
  readonly onChange: (part: Partial<CreateForm>) => void
  /** By the place in the request. */
  readonly complaint: (path: string) => string | undefined
}

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
  const [isAccepted, setAccepted] = useState(false)
  const [planned] = useDebouncedValue(form, PLAN_AFTER_MS)
  const sources = useCreateSources()
  const complaints = complaintsAbout(form)
  const change = (part: Partial<CreateForm>) => setForm((before) => ({ ...before, ...part }))
  /** Nobody likes to be scolded for what he has not written yet. */
  const isEmpty = (path: string) => (path === 'name' ? form.name === '' : path === 'container.template')
  const complaint = (path: string) => (wasTried || !isEmpty(path) ? complaints?.at(path) : undefined)

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setTried(true)
    if (complaints) return
    setBusy(true)
    const consent = isAccepted ? { acceptBreach: true } : {}
    const made = await client.call(ENDPOINTS['guest.create'], { body: { ...bodyOf(form), ...consent } })
    setBusy(false)
    if (made.ok) void navigate({ to: '/guests/$guest', params: { guest: made.value.guest.name } })
    else setFailure(made.error)
  }

  const fields: FieldsProps = { form, onChange: change, complaint }
  return (
    <Page>
      <PageHead
        icon={kind}
        kind={t('create.button')}
        title={t(kind === 'vm' ? 'create.machine' : 'create.container')}
      />
      <form className={classes.columns} onSubmit={(event) => void submit(event)} noValidate>
        <div className={classes.fields}>
          <CreateBasics {...fields} sources={sources} onForm={setForm} />
          <CreateDisks {...fields} />
          {kind === 'vm' ? (
            <>
              <CreateFirstLogin {...fields} />
              <CreateMachineFields {...fields} />
            </>
          ) : (
            <CreateContainerFields {...fields} />
          )}
        </div>
        <div className={classes.outlook}>
          <Panel title={t('create.where')}>
            <PlacementPreview form={planned} />
          </Panel>
          <Checkbox
            label={t('create.start')}
            checked={form.start}
            onChange={(event) => change({ start: event.currentTarget.checked })}
          />
          {wasTried && complaints ? (
            <p className={classes.rest} role="alert">
              {complaints.rest === '' ? t('create.complaints') : complaints.rest}
            </p>
          ) : null}
          {failure ? <FailureAlert failure={failure} /> : null}
          {isAccepted || failure?.code === 'admission' ? (
            <AcceptBreach isAccepted={isAccepted} onChange={setAccepted} />
          ) : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={() => void navigate({ to: '/guests' })}>
              {t('word.cancel')}
            </Button>
            <Button type="submit" loading={isBusy}>
              {t('create.button')}
            </Button>
          </Group>
        </div>
      </form>
    </Page>
  )
}
