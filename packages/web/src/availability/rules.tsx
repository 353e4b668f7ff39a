/** What is demanded of the places and the order of guests. */
import { Checkbox, MultiSelect, NumberInput, Select } from '@mantine/core'
import { useMemo, useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { RuleView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { useGuests, useHosts, useLive } from '../live/use-live.ts'
import { Answered, useAsked } from '../parts/answered.tsx'
import { FilterField } from '../parts/filter-field.tsx'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { Icon } from '../parts/icon.tsx'
import { Empty } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { NameField, TextField } from '../parts/text-field.tsx'
import { useRefusal } from '../session/privileges.ts'
import { DataTable, type TableColumn } from '../table/data-table.tsx'
import { filtered } from '../table/row-order.ts'
import {
  complaintAbout,
  EMPTY_RULE,
  formOfRule,
  RULE_KINDS,
  ruleBodyOf,
  ruleChangeOf,
  type RuleForm,
  type RuleKind,
} from './rule-form.ts'
import classes from './rules.module.css'

export function Rules() {
  const t = useText()
  const newestRuleEvent = useLive((state) => state.events.findLast(({ kind }) => kind.startsWith('rule.'))?.id)
  const asked = useAsked(['rules', newestRuleEvent], (client) => client.call(ENDPOINTS['rule.list']))
  const [query, setQuery] = useState('')
  const [isCreating, setCreating] = useState(false)
  const [changed, setChanged] = useState<RuleView>()
  const [deleted, setDeleted] = useState<RuleView>()
  const refusal = useRefusal('/')('rule.manage')
  const columns = useMemo(
    (): readonly TableColumn<RuleView>[] => [
      {
        id: 'name',
        title: t('word.name'),
        width: 'minmax(110px, .8fr)',
        value: ({ name }) => name,
        cell: ({ name, comment }) => <strong title={comment}>{name}</strong>,
      },
      {
        id: 'kind',
        title: t('column.kind'),
        width: 'minmax(110px, .8fr)',
        wideOnly: true,
        value: ({ kind }) => kind,
        cell: ({ kind, strict }) => `${t(`rules.kind.${kind}`)}${strict ? '' : ` (${t('rules.wish')})`}`,
      },
      {
        id: 'text',
        title: t('rules.demands'),
        width: 'minmax(160px, 3fr)',
        value: ({ text }) => text,
        cell: ({ text }) => <span title={text}>{text}</span>,
      },
      {
        id: 'actions',
        title: t('rules.actions'),
        width: '190px',
        value: () => '',
        cell: (rule) => (
          <span className={classes.actions}>
            <RefusableButton
              size="compact-xs"
              variant="default"
              refusal={refusal}
              aria-label={t('rules.changeOne', { name: rule.name })}
              onClick={() => setChanged(rule)}
            >
              {t('rules.change')}
            </RefusableButton>
            <RefusableButton
              size="compact-xs"
              variant="default"
              refusal={refusal}
              aria-label={t('rules.deleteOne', { name: rule.name })}
              onClick={() => setDeleted(rule)}
            >
              {t('rules.delete')}
            </RefusableButton>
          </span>
        ),
      },
    ],
    [t, refusal],
  )
  return (
    <Answered asked={asked}>
      {({ items }) => (
        <div className={classes.column}>
          <div className={classes.tools}>
            <FilterField label={t('rules.filter')} value={query} onChange={setQuery} />
            <RefusableButton
              leftSection={<Icon name="plus" size={16} />}
              refusal={refusal}
              onClick={() => setCreating(true)}
            >
              {t('rules.create')}
            </RefusableButton>
          </div>
          <DataTable
            label={t('rules.title')}
            rows={filtered(items, query, ({ name, text, comment }) => `${name} ${text} ${comment}`)}
            idOf={({ name }) => name}
            columns={columns}
            empty={
              items.length === 0 ? (
                <Empty icon="shield" title={t('rules.none')} text={t('rules.noneText')} />
              ) : (
                <Empty icon="search" title={t('guests.noneFound')} />
              )
            }
          />
          {isCreating ? <RuleDialog onClose={() => setCreating(false)} /> : null}
          {changed ? <RuleDialog rule={changed} onClose={() => setChanged(undefined)} /> : null}
          {deleted ? (
            <ChangeDialog
              title={t('rules.askDelete', { name: deleted.name })}
              confirm={t('rules.delete')}
              danger={{ text: deleted.text }}
              foreseen={[deleted.name]}
              call={(client) => client.call(ENDPOINTS['rule.delete'], { params: { rule: deleted.name } })}
              onClose={() => setDeleted(undefined)}
            />
          ) : null}
        </div>
      )}
    </Answered>
  )
}

/** `rule`: the one that is changed; absent: one is made. */
function RuleDialog({ rule, onClose }: { rule?: RuleView; onClose: () => void }) {
  const t = useText()
  const guests = useGuests()
  const hosts = useHosts().filter(({ role }) => role === 'compute')
  const [form, setForm] = useState<RuleForm>(rule ? formOfRule(rule) : EMPTY_RULE)
  const change = (part: Partial<RuleForm>) => setForm((before) => ({ ...before, ...part }))
  const complaint = complaintAbout(form, rule !== undefined)
  const { kind } = form
  const domains = [...new Set(['host', ...hosts.flatMap(({ faultDomains }) => Object.keys(faultDomains))])]
  return (
    <ChangeDialog
      title={rule ? t('rules.askChange', { name: rule.name }) : t('rules.create')}
      confirm={rule ? t('word.save') : t('rules.create')}
      complaint={form.name === '' && complaint !== undefined ? '' : complaint}
      foreseen={[form]}
      call={(client, consent) =>
        rule
          ? client.call(
              ENDPOINTS['rule.set'],
              { params: { rule: rule.name }, body: { ...ruleChangeOf(form), ...consent } },
              { ifMatch: rule.revision },
            )
          : client.call(ENDPOINTS['rule.create'], { body: { ...ruleBodyOf(form), ...consent } })
      }
      onClose={onClose}
    >
      <Select
        label={t('column.kind')}
        description={t(`rules.about.${kind}`)}
        data={RULE_KINDS.filter((value) => !rule || value !== 'group').map((value) => ({
          value,
          label: t(`rules.kind.${value}`),
        }))}
        value={kind}
        onChange={(value) => change({ kind: value as RuleKind, strict: value !== 'hosts' })}
        allowDeselect={false}
      />
      {rule ? null : <NameField value={form.name} onChange={(name) => change({ name })} />}
      <MultiSelect
        label={t('nav.guests')}
        {...(kind === 'order' || kind === 'group' ? { description: t('rules.inThisOrder') } : {})}
        data={guests.map(({ name }) => name)}
        value={[...form.guests]}
        onChange={(chosen) => change({ guests: chosen })}
        searchable
      />
      {kind === 'hosts' || kind === 'ban' ? (
        <MultiSelect
          label={t('nav.hosts')}
          {...(kind === 'hosts' ? { description: t('rules.firstFirst') } : {})}
          data={hosts.map(({ name }) => name)}
          value={[...form.hosts]}
          onChange={(chosen) => change({ hosts: chosen })}
          searchable
        />
      ) : null}
      {kind === 'apart' ? (
        <Select
          label={t('rules.across')}
          data={domains}
          value={form.across}
          onChange={(across) => change({ across: across ?? 'host' })}
          allowDeselect={false}
        />
      ) : null}
      {kind === 'together' || kind === 'apart' || kind === 'hosts' ? (
        <Checkbox
          label={t('rules.strict')}
          description={t('rules.strictText')}
          checked={form.strict}
          onChange={(event) => change({ strict: event.currentTarget.checked })}
        />
      ) : null}
      {kind === 'order' || kind === 'group' ? (
        <>
          <NumberInput
            label={t('rules.readyAfter')}
            min={0}
            max={3_600}
            value={form.readyAfterSeconds}
            onChange={(value) => change({ readyAfterSeconds: Number(value) })}
          />
          <Checkbox
            label={t('rules.untilReady')}
            checked={form.untilReady}
            onChange={(event) => change({ untilReady: event.currentTarget.checked })}
          />
        </>
      ) : null}
      {kind === 'order' ? (
        <Checkbox
          label={t('rules.optional')}
          checked={form.isOptional}
          onChange={(event) => change({ isOptional: event.currentTarget.checked })}
        />
      ) : null}
      <TextField label={t('rules.comment')} value={form.comment} onChange={(comment) => change({ comment })} />
    </ChangeDialog>
  )
}
