/** The copy that follows a container's native root: where it is, how old, and what is to happen when the root is lost. */
import { Button, NumberInput, Select } from '@mantine/core'
import { useState } from 'react'
import { setGuestBody } from '@stead/api/endpoints/guests.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useHosts } from '../live/use-live.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { ageText, durationText, momentText } from '../parts/figures.ts'
import { Empty, Panel } from '../parts/page.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { useNow } from '../parts/use-now.ts'
import { ShortTable } from '../table/short-table.tsx'
import classes from './guest-tabs.module.css'

const MINUTE_MS = 60_000
const ON_LOSS = ['wait', 'start-from-copy'] as const

export function RootCopyPanel({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const now = useNow()
  const [isAsked, setAsked] = useState(false)
  const copies = guest.volumes.flatMap((volume) => volume.copies)
  const { rootCopy } = guest
  return (
    <Panel
      title={t('rootCopy.title')}
      aside={
        <Button size="compact-xs" variant="default" onClick={() => setAsked(true)}>
          {t('rootCopy.change')}
        </Button>
      }
    >
      {rootCopy ? (
        <p className={classes.dim}>
          {t('rootCopy.policy', { every: durationText(rootCopy.everyMs, language) })} {t(`rootCopy.${rootCopy.onLoss}`)}
        </p>
      ) : null}
      {copies.length === 0 ? (
        <Empty icon="volume" title={t('rootCopy.none')} text={t('rootCopy.noneText')} />
      ) : (
        <ShortTable label={t('rootCopy.title')} columns={[t('rootCopy.where'), t('rootCopy.at'), t('rootCopy.state')]}>
          {copies.map(({ host, pool, at, late, trouble }) => (
            <tr key={host}>
              <td>
                {host}/{pool}
              </td>
              <td>
                {at === null ? t('rootCopy.notYet') : ageText(Date.parse(at), now, language)}{' '}
                <span className={classes.dim}>{at === null ? '' : momentText(at, language)}</span>
              </td>
              <td>{[late ? t('rootCopy.late') : '', trouble].filter(Boolean).join(': ') || t('rootCopy.follows')}</td>
            </tr>
          ))}
        </ShortTable>
      )}
      {isAsked ? <RootCopyDialog guest={guest} onClose={() => setAsked(false)} /> : null}
    </Panel>
  )
}

function RootCopyDialog({ guest, onClose }: { guest: GuestView; onClose: () => void }) {
  const t = useText()
  const home = guest.volumes[0]?.replicas[0]?.host
  const hosts = useHosts().filter(({ name, pools }) => name !== home && pools.some(({ subvolumes }) => subvolumes))
  const [to, setTo] = useState(guest.rootCopy?.to ?? '')
  const [minutes, setMinutes] = useState((guest.rootCopy?.everyMs ?? 15 * MINUTE_MS) / MINUTE_MS)
  const [onLoss, setOnLoss] = useState<(typeof ON_LOSS)[number] | 'none'>(guest.rootCopy?.onLoss ?? 'wait')
  const asked = { ...(to === '' ? {} : { to }), everyMs: Math.round(minutes * MINUTE_MS) }
  const body = { rootCopy: onLoss === 'none' ? null : { ...asked, onLoss } }
  return (
    <ChangeDialog
      title={t('rootCopy.changeTitle', { name: guest.name })}
      confirm={t('rootCopy.change')}
      complaint={complaintOf(setGuestBody, body)}
      call={(client) => client.call(ENDPOINTS['guest.set'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <Select
        label={t('rootCopy.onLoss')}
        data={[
          ...ON_LOSS.map((value) => ({ value, label: t(`rootCopy.${value}`) })),
          ...(guest.rootCopy ? [{ value: 'none', label: t('rootCopy.noMore') }] : []),
        ]}
        value={onLoss}
        onChange={(value) => setOnLoss((value ?? 'wait') as typeof onLoss)}
        allowDeselect={false}
      />
      <Select
        label={t('rootCopy.to')}
        data={[{ value: '', label: t('rootCopy.anyHost') }, ...hosts.map(({ name }) => ({ value: name, label: name }))]}
        value={to}
        onChange={(value) => setTo(value ?? '')}
        allowDeselect={false}
        disabled={onLoss === 'none'}
      />
      <NumberInput
        label={t('rootCopy.every')}
        min={1}
        value={minutes}
        onChange={(value) => setMinutes(Number(value))}
        disabled={onLoss === 'none'}
      />
    </ChangeDialog>
  )
}
