/** What a container holds, may have and was refused, by OpenVZ's names; and its limits. */
import { Alert, Button, Textarea } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { ContainerCounterView } from '@stead/api/endpoints/counters.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { FailureAlert } from '../parts/failure-alert.tsx'
import { Icon } from '../parts/icon.tsx'
import { LoadingRows } from '../parts/loading-rows.tsx'
import { Panel } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { useSession } from '../session/session-context.ts'
import { ShortTable } from '../table/short-table.tsx'
import { obstacleToChange } from './guest-change.ts'
import { limitsChange, limitsText } from './container-limits-change.ts'
import classes from './guest-tabs.module.css'

const LOOK_MS = 3_000
const FIGURES = ['held', 'maxHeld', 'barrier', 'limit', 'failures'] as const

export function GuestCounters({ guest }: { guest: GuestView }) {
  const t = useText()
  const { client } = useSession()
  const [isChanging, setChanging] = useState(false)
  const answer = useQuery({
    queryKey: ['counters', guest.id],
    queryFn: () => client.call(ENDPOINTS['guest.counters'], { params: { guest: guest.name } }),
    refetchInterval: LOOK_MS,
    placeholderData: (before) => before,
  })
  const items = answer.data?.ok ? answer.data.value.items : undefined
  const refused = (items ?? []).filter(({ failures }) => (failures ?? 0) > 0)
  return (
    <Panel
      title={t('counters.title')}
      aside={
        <RefusableButton
          size="compact-xs"
          variant="default"
          obstacle={obstacleToChange('assign', guest)}
          onClick={() => setChanging(true)}
        >
          {t('counters.change')}
        </RefusableButton>
      }
    >
      {refused.length === 0 ? null : (
        <Alert
          color="yellow"
          variant="light"
          mb="md"
          icon={<Icon name="warning" />}
          title={t('counters.refused')}
          classNames={{ title: classes.alertTitle }}
        >
          {refused.map(({ resource, failures }) => `${resource}: ${failures ?? 0}`).join(', ')}
        </Alert>
      )}
      {answer.data?.ok === false ? <FailureAlert failure={answer.data.error} /> : null}
      {items ? <CounterTable items={items} /> : answer.data ? null : <LoadingRows />}
      {isChanging ? <LimitsDialog guest={guest} onClose={() => setChanging(false)} /> : null}
    </Panel>
  )
}

function CounterTable({ items }: { items: readonly ContainerCounterView[] }) {
  const t = useText()
  const language = useLanguage()
  const number = new Intl.NumberFormat(language)
  const amount = (value: number | null, absent: string) => (value === null ? absent : number.format(value))
  return (
    <ShortTable
      label={t('counters.title')}
      columns={[
        t('counters.resource'),
        ...FIGURES.map((column) => ({ text: t(`counters.${column}`), isFigure: true as const })),
        t('counters.meaning'),
      ]}
    >
      {items.map((item) => (
        <tr key={item.resource} data-chosen={(item.failures ?? 0) > 0 || undefined}>
          <th scope="row">
            <code>{item.resource}</code> <span className={classes.dim}>{item.unit}</span>
          </th>
          <td data-figure>{amount(item.held, '–')}</td>
          <td data-figure>{amount(item.maxHeld, '–')}</td>
          <td data-figure>{amount(item.barrier, '∞')}</td>
          <td data-figure>{amount(item.limit, '∞')}</td>
          <td data-figure>{amount(item.failures, '–')}</td>
          <td className={classes.dim}>
            {item.meaning}
            {item.enforced === 'counted' ? ` (${t('counters.countedOnly')})` : ''}
          </td>
        </tr>
      ))}
    </ShortTable>
  )
}

function LimitsDialog({ guest, onClose }: { guest: GuestView; onClose: () => void }) {
  const t = useText()
  const before = guest.container?.limits ?? {}
  const [text, setText] = useState(() => limitsText(before))
  const changed = limitsChange(before, text)
  const limits = changed.ok ? changed.value : {}
  const complaint = changed.ok ? (Object.keys(limits).length === 0 ? '' : undefined) : changed.error.message
  return (
    <ChangeDialog
      title={t('counters.changeTitle', { name: guest.name })}
      confirm={t('word.save')}
      complaint={complaint}
      foreseen={[guest.id, limits]}
      call={(client) =>
        client.call(
          ENDPOINTS['guest.set'],
          { params: { guest: guest.name }, body: { container: { limits } } },
          { ifMatch: guest.revision },
        )
      }
      onClose={onClose}
    >
      <Textarea
        label={t('counters.limits')}
        description={t('counters.limitsText')}
        autosize
        minRows={6}
        maxRows={18}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        spellCheck={false}
        data-autofocus
      />
      {text === limitsText(before) ? null : (
        <Button variant="subtle" size="compact-xs" onClick={() => setText(limitsText(before))}>
          {t('counters.asTheyAre')}
        </Button>
      )}
    </ChangeDialog>
  )
}
