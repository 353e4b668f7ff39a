/** A container as one file: its settings and its disks, made by the cluster and fetched by the digest. */
import { Checkbox, Select } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useItems } from '../parts/answered.tsx'
import { BackupLink } from '../parts/backup-link.tsx'
import { durationText } from '../parts/figures.ts'
import { TrialDialog } from '../parts/trial-dialog.tsx'
import classes from './guest-tabs.module.css'

const KEEP_HOURS = ['6', '24', '168', '720', '8784'] as const

export function DumpDialog({ guest, onClose }: { guest: GuestView; onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  const params = { guest: guest.name }
  const snapshots = useItems(['snapshots', guest.id], (client) => client.call(ENDPOINTS['snapshot.list'], { params }))
  const [snapshot, setSnapshot] = useState<string | null>(null)
  const [isPacked, setPacked] = useState(true)
  const [keep, setKeep] = useState<(typeof KEEP_HOURS)[number]>('6')
  const body = {
    keepHours: Number(keep),
    compress: isPacked ? ('zstd' as const) : ('none' as const),
    ...(snapshot === null ? {} : { snapshot }),
  }
  return (
    <TrialDialog
      title={t('dump.title', { name: guest.name })}
      confirm={t('dump.make')}
      ask={(client) => client.call(ENDPOINTS['guest.dump'], { params, body })}
      told={({ backup, sizeBytes, pausedMs }) => (
        <>
          <p className={classes.outcome}>
            {pausedMs === 0 ? t('dump.made') : t('dump.madePaused', { time: durationText(pausedMs, language) })}
          </p>
          <BackupLink id={backup} compress={body.compress} sizeBytes={sizeBytes} />
        </>
      )}
      onClose={onClose}
    >
      <p className={classes.dim}>{t('dump.text')}</p>
      <Select
        label={t('dump.snapshot')}
        description={t('dump.snapshotText')}
        placeholder={t('dump.now')}
        data={snapshots.map(({ name }) => name)}
        value={snapshot}
        onChange={setSnapshot}
        clearable
      />
      <Select
        label={t('dump.keep')}
        description={t('dump.keepText')}
        data={KEEP_HOURS.map((hours) => ({ value: hours, label: t(`dump.keepHours.${hours}`) }))}
        value={keep}
        onChange={(hours) => setKeep(KEEP_HOURS.find((each) => each === hours) ?? keep)}
        allowDeselect={false}
      />
      <Checkbox
        label={t('dump.packed')}
        checked={isPacked}
        onChange={(event) => setPacked(event.currentTarget.checked)}
      />
    </TrialDialog>
  )
}
