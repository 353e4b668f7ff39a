/** Who did what, and what was refused; the chain of the audit checked on all hosts, and all of it as a file. */
import { Button, Group, Select, TextInput } from '@mantine/core'
import { useMemo, useState } from 'react'
import type { AuditEntryView } from '@stead/api/endpoints/audit.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { Dialog } from '../parts/dialog.tsx'
import { momentText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Empty, Facts } from '../parts/page.tsx'
import { saveStream } from '../parts/save-file.ts'
import { showFailure } from '../parts/toasts.tsx'
import { StateDot } from '../parts/state-badge.tsx'
import { useSession } from '../session/session-context.ts'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import classes from './listing.module.css'

const KINDS = ['change', 'action', 'denial'] as const
const TONES = { change: 'good', action: 'quiet', denial: 'warn' } as const
const PAGE_ENTRIES = 200

export function Audit() {
  const t = useText()
  const language = useLanguage()
  const [filters, setFilters] = useState({ who: '', what: '', subject: '', kind: '' })
  const [before, setBefore] = useState<number>()
  const [shown, setShown] = useState<AuditEntryView>()
  const [isVerifying, setVerifying] = useState(false)
  const given = Object.fromEntries(Object.entries(filters).filter(([, value]) => value.trim() !== ''))
  const query = { ...given, limit: PAGE_ENTRIES, ...(before === undefined ? {} : { before }) }
  const asked = useAsked(['audit', query], (client) => client.call(ENDPOINTS['audit.list'], { query }))
  const change = (part: Partial<typeof filters>) => {
    setFilters((now) => ({ ...now, ...part }))
    setBefore(undefined)
  }
  const columns = useMemo(
    (): readonly TableColumn<AuditEntryView>[] => [
      {
        id: 'time',
        title: t('audit.time'),
        width: 'minmax(130px, 1fr)',
        wideOnly: true,
        value: ({ sequence }) => sequence,
        cell: ({ time }) => momentText(time, language),
      },
      {
        id: 'who',
        title: t('audit.who'),
        width: 'minmax(90px, .9fr)',
        value: ({ who }) => who,
        cell: ({ who, from }) => <span title={from}>{who}</span>,
      },
      {
        id: 'what',
        title: t('audit.what'),
        width: 'minmax(110px, 1fr)',
        value: ({ what }) => what,
        cell: ({ what, kind }) => (
          <span title={t(`audit.kind.${kind}`)}>
            <StateDot tone={TONES[kind]} /> {what}
          </span>
        ),
      },
      {
        id: 'subject',
        title: t('audit.subject'),
        width: 'minmax(90px, 1.1fr)',
        value: ({ subject }) => subject,
        cell: ({ subject, message }) => (
          <span title={message}>{message === '' ? subject : `${subject}: ${message}`}</span>
        ),
      },
      {
        id: 'more',
        title: t('audit.more'),
        width: '84px',
        value: ({ changes }) => changes.length,
        cell: (entry) => (
          <Button
            size="compact-xs"
            variant="default"
            aria-label={t('audit.showOne', { number: entry.sequence })}
            onClick={() => setShown(entry)}
          >
            {t('audit.show')}
          </Button>
        ),
      },
    ],
    [t, language],
  )
  return (
    <div className={classes.column}>
      <Group align="end" gap="sm">
        {(['who', 'what', 'subject'] as const).map((name) => (
          <TextInput
            key={name}
            label={t(`audit.${name}`)}
            value={filters[name]}
            onChange={(event) => change({ [name]: event.currentTarget.value })}
          />
        ))}
        <Select
          label={t('column.kind')}
          data={[
            { value: '', label: t('audit.kind.all') },
            ...KINDS.map((kind) => ({ value: kind, label: t(`audit.kind.${kind}`) })),
          ]}
          value={filters.kind}
          onChange={(kind) => change({ kind: kind ?? '' })}
          allowDeselect={false}
        />
        <Button variant="default" leftSection={<Icon name="shield" size={15} />} onClick={() => setVerifying(true)}>
          {t('audit.verify')}
        </Button>
        <ExportButton />
      </Group>
      <Answered asked={asked}>
        {({ items, next }) => (
          <>
            <DataTable
              label={t('admin.tab.audit')}
              rows={items}
              idOf={({ sequence }) => String(sequence)}
              columns={columns}
              empty={<Empty icon="event" title={t('audit.none')} />}
            />
            <Group>
              <Button variant="default" disabled={before === undefined} onClick={() => setBefore(undefined)}>
                {t('audit.newest')}
              </Button>
              <Button variant="default" disabled={next === null} onClick={() => setBefore(next ?? undefined)}>
                {t('audit.older')}
              </Button>
            </Group>
          </>
        )}
      </Answered>
      {shown ? <EntryDialog entry={shown} onClose={() => setShown(undefined)} /> : null}
      {isVerifying ? <VerifyDialog onClose={() => setVerifying(false)} /> : null}
    </div>
  )
}

function EntryDialog({ entry, onClose }: { entry: AuditEntryView; onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  return (
    <Dialog title={t('audit.entry', { number: entry.sequence })} size="xl" onClose={onClose}>
      <Facts
        items={[
          [t('audit.time'), momentText(entry.time, language)],
          [t('audit.who'), `${entry.who} (${entry.from})`],
          [t('audit.what'), `${entry.what}, ${t(`audit.kind.${entry.kind}`)}`],
          [t('audit.subject'), entry.subject],
          [t('audit.host'), entry.host],
          entry.message === '' ? undefined : [t('audit.message'), entry.message],
          ...entry.changes.map(
            (one) => [one.record, <pre className={classes.change}>{changeText(one.before, one.after)}</pre>] as const,
          ),
        ]}
      />
    </Dialog>
  )
}

function changeText(before: unknown, after: unknown): string {
  const lines = (mark: string, value: unknown) =>
    value === undefined
      ? []
      : JSON.stringify(value, null, 2)
          .split('\n')
          .map((line) => `${mark} ${line}`)
  return [...lines('-', before), ...lines('+', after)].join('\n')
}

function VerifyDialog({ onClose }: { onClose: () => void }) {
  const t = useText()
  const asked = useAsked(['audit-verification'], (client) => client.call(ENDPOINTS['audit.verify']))
  return (
    <Dialog title={t('audit.verify')} onClose={onClose}>
      <Answered asked={asked}>
        {({ ok, hosts }) => (
          <>
            <p className={classes.answer} role="status">
              <Icon name={ok ? 'check' : 'warning'} size={18} /> {ok ? t('audit.whole') : t('audit.broken')}
            </p>
            <Facts
              items={hosts.map((host) => [
                host.host,
                host.problem ??
                  (host.entries === null ? t('audit.silent') : t('audit.entries', { count: host.entries })),
              ])}
            />
          </>
        )}
      </Answered>
    </Dialog>
  )
}

/** All entries with their chain, as they can be checked elsewhere. */
function ExportButton() {
  const t = useText()
  const { client } = useSession()
  const [isBusy, setBusy] = useState(false)
  const save = async () => {
    setBusy(true)
    const opened = await client.stream(ENDPOINTS['audit.export'], {})
    if (opened.ok) await saveStream('audit.jsonl', opened.value.body, 'application/jsonl')
    else showFailure(opened.error)
    setBusy(false)
  }
  return (
    <Button variant="default" loading={isBusy} onClick={() => void save()}>
      {t('audit.export')}
    </Button>
  )
}
