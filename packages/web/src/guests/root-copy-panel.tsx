/** The copy that follows a container's native root: where it is, how old, and what is to happen when the root is lost. */
import { Button } from '@mantine/core'
import { useState } from 'react'
import { setGuestBody } from '@stead/api/endpoints/guests.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { ageText, durationText, momentText } from '../parts/figures.ts'
import { Empty, Panel } from '../parts/page.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { useNow } from '../parts/use-now.ts'
import { ShortTable } from '../table/short-table.tsx'
import classes from './guest-tabs.module.css'
import { RootCopyFields } from './root-copy-fields.tsx'
import { askedCopyOf, copyFormOf } from './root-copy-form.ts'

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
  const [form, setForm] = useState(copyFormOf(guest.rootCopy))
  const body = { rootCopy: askedCopyOf(form) }
  return (
    <ChangeDialog
      title={t('rootCopy.changeTitle', { name: guest.name })}
      confirm={t('rootCopy.change')}
      complaint={complaintOf(setGuestBody, body)}
      call={(client) => client.call(ENDPOINTS['guest.set'], { params: { guest: guest.name }, body })}
      onClose={onClose}
    >
      <RootCopyFields
        form={form}
        onChange={(part) => setForm({ ...form, ...part })}
        home={guest.volumes[0]?.replicas[0]?.host}
        none={guest.rootCopy ? t('rootCopy.noMore') : undefined}
      />
    </ChangeDialog>
  )
}
