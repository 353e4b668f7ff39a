/** Webhooks: who is told of events by HTTP, and how that goes. */
import { Checkbox, MultiSelect, Select } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { WebhookView } from '@stead/api/endpoints/webhooks.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { EVENT_KINDS, type EventKind } from '@stead/core/model/event.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useAsked, useItems } from '../parts/answered.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { momentText } from '../parts/figures.ts'
import { complaintOf } from '../parts/schema-complaint.ts'
import { SecretDialog } from '../parts/secret-dialog.tsx'
import { ToneBadge } from '../parts/state-badge.tsx'
import { NameField, TextField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import type { TableColumn } from '../table/data-table.tsx'
import { Listing, nameColumn } from './listing.tsx'
import { WebhookTestDialog } from './webhook-test-dialog.tsx'

type Asking = { readonly kind: 'create' } | { readonly kind: 'edit' | 'test' | 'delete'; readonly webhook: WebhookView }
const TELLS = ['events', 'usage'] as const

interface Made {
  readonly name: string
  readonly secret: string
}

export function Webhooks() {
  const t = useText()
  const may = useRefusal('/')('cluster.configure')
  const asked = useAsked(['webhooks'], (client) => client.call(ENDPOINTS['webhook.list']))
  const [asking, setAsking] = useState<Asking>()
  const [made, setMade] = useState<Made>()
  const columns = useColumns()
  const action = (kind: 'edit' | 'test' | 'delete') => ({
    text: t(`webhooks.${kind}`),
    refusal: () => may,
    onClick: (webhook: WebhookView) => setAsking({ kind, webhook }),
  })
  const close = () => setAsking(undefined)
  return (
    <>
      <Listing
        label={t('admin.tab.webhooks')}
        icon="event"
        asked={asked}
        idOf={({ name }) => name}
        textOf={({ name, url, kinds, notes }) => [name, url, notes, ...kinds].join(' ')}
        columns={columns}
        actions={[action('edit'), action('test'), action('delete')]}
        create={{ text: t('webhooks.create'), refusal: may, onClick: () => setAsking({ kind: 'create' }) }}
        none={t('webhooks.none')}
      />
      {asking?.kind === 'create' ? <WebhookDialog onClose={close} onMade={setMade} /> : null}
      {asking?.kind === 'edit' ? <WebhookDialog webhook={asking.webhook} onClose={close} /> : null}
      {asking?.kind === 'test' ? <WebhookTestDialog webhook={asking.webhook} onClose={close} /> : null}
      {made ? (
        <SecretDialog
          title={t('webhooks.made', { name: made.name })}
          text={t('webhooks.madeText')}
          secret={made.secret}
          onClose={() => setMade(undefined)}
        />
      ) : null}
      {asking?.kind === 'delete' ? (
        <ChangeDialog
          title={t('webhooks.askDelete', { name: asking.webhook.name })}
          confirm={t('webhooks.delete')}
          danger={{ text: t('webhooks.deleteText') }}
          call={(client) =>
            client.call(
              ENDPOINTS['webhook.delete'],
              { params: { webhook: asking.webhook.name } },
              { ifMatch: asking.webhook.revision },
            )
          }
          onClose={close}
        />
      ) : null}
    </>
  )
}

interface WebhookDialogProps {
  readonly webhook?: WebhookView
  readonly onClose: () => void
  /** The secret is in the answer, and nowhere afterwards. */
  readonly onMade?: (made: Made) => void
}

function WebhookDialog({ webhook, onClose, onMade }: WebhookDialogProps) {
  const t = useText()
  const projects = useItems(['projects'], (client) => client.call(ENDPOINTS['project.list']))
  const [form, setForm] = useState({
    ...{ name: webhook?.name ?? '', url: webhook?.url ?? 'https://', kinds: webhook?.kinds ?? [] },
    tells: webhook?.tells ?? ('events' as const),
    ...{ project: webhook?.project ?? null, notes: webhook?.notes ?? '', disabled: webhook?.disabled ?? false },
  })
  const change = (part: Partial<typeof form>) => setForm((before) => ({ ...before, ...part }))
  const { name, disabled, project, tells, ...settings } = { ...form, url: form.url.trim() }
  const rest = { ...settings, kinds: tells === 'usage' ? [] : settings.kinds }
  const created = { name: name.trim(), tells, ...rest, ...(project === null ? {} : { project }) }
  const changed = { ...rest, project, disabled }
  const complaint = webhook
    ? complaintOf(ENDPOINTS['webhook.set'].body, changed)
    : complaintOf(ENDPOINTS['webhook.create'].body, created)
  return (
    <ChangeDialog
      title={webhook ? t('webhooks.askEdit', { name: webhook.name }) : t('webhooks.create')}
      confirm={webhook ? t('word.save') : t('webhooks.create')}
      complaint={name === '' && complaint !== undefined ? '' : complaint}
      call={async (client) => {
        if (webhook)
          return client.call(
            ENDPOINTS['webhook.set'],
            { params: { webhook: webhook.name }, body: changed },
            { ifMatch: webhook.revision },
          )
        const answer = await client.call(ENDPOINTS['webhook.create'], { body: created })
        if (answer.ok) onMade?.(answer.value)
        return answer
      }}
      onClose={onClose}
    >
      {webhook ? null : <NameField value={form.name} onChange={(next) => change({ name: next })} />}
      <TextField
        label={t('webhooks.url')}
        description={t('webhooks.urlText')}
        value={form.url}
        onChange={(url) => change({ url })}
      />
      {webhook ? null : (
        <Select
          label={t('webhooks.tells')}
          data={TELLS.map((one) => ({ value: one, label: t(`webhooks.tells.${one}`) }))}
          value={form.tells}
          onChange={(next) => change({ tells: next === 'usage' ? 'usage' : 'events' })}
          allowDeselect={false}
        />
      )}
      <MultiSelect
        hidden={form.tells === 'usage'}
        label={t('webhooks.kinds')}
        {...(form.kinds.length === 0 ? { placeholder: t('webhooks.all') } : {})}
        data={[...EVENT_KINDS]}
        value={form.kinds}
        onChange={(kinds) => change({ kinds: kinds as EventKind[] })}
        searchable
      />
      <Select
        label={t('webhooks.project')}
        placeholder={t('webhooks.everything')}
        data={projects.map((one) => one.name)}
        value={form.project}
        onChange={(next) => change({ project: next })}
        clearable
        clearButtonProps={{ 'aria-label': t('webhooks.everything') }}
      />
      <TextField label={t('webhooks.notes')} value={form.notes} onChange={(notes) => change({ notes })} />
      {webhook ? (
        <Checkbox
          label={t('webhooks.disabled')}
          description={t('webhooks.disabledText')}
          checked={form.disabled}
          onChange={(event) => change({ disabled: event.currentTarget.checked })}
        />
      ) : null}
    </ChangeDialog>
  )
}

function useColumns(): readonly TableColumn<WebhookView>[] {
  const t = useText()
  const language = useLanguage()
  return useMemo(
    () => [
      nameColumn(t('word.name'), 'minmax(90px, .8fr)', ({ notes }) => notes),
      {
        id: 'url',
        title: t('webhooks.url'),
        width: 'minmax(130px, 1.6fr)',
        wideOnly: true,
        value: ({ url }) => url,
        cell: ({ url }) => <span title={url}>{url}</span>,
      },
      {
        id: 'kinds',
        title: t('webhooks.kinds'),
        width: 'minmax(100px, 1fr)',
        wideOnly: true,
        value: ({ kinds }) => kinds.length,
        cell: ({ tells, kinds }) => (
          <span title={kinds.join(', ')}>
            {tells === 'usage' ? t('webhooks.tells.usage') : kinds.join(', ') || t('webhooks.all')}
          </span>
        ),
      },
      {
        id: 'state',
        title: t('column.state'),
        width: 'minmax(150px, 1.6fr)',
        value: ({ disabled, failing }) => (disabled ? 1 : failing ? 2 : 0),
        cell: ({ disabled, failing, deliveredAt, lost }) => {
          const given = lost === 0 ? '' : `; ${t('webhooks.lost', { count: lost })}`
          if (disabled) return <ToneBadge tone="quiet" text={`${t('webhooks.off')}${given}`} />
          if (failing)
            return (
              <ToneBadge
                tone="bad"
                text={`${t('webhooks.failing', { count: failing.attempts })}${given}`}
                title={`${failing.error}; ${t('webhooks.next', { time: momentText(failing.nextAt, language) })}`}
              />
            )
          const told = deliveredAt === null ? t('webhooks.never') : momentText(deliveredAt, language)
          return <ToneBadge tone={lost === 0 ? 'good' : 'warn'} text={`${told}${given}`} />
        },
      },
    ],
    [t, language],
  )
}
