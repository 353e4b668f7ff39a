/** A container as one file: its settings and its disks, made by the cluster and fetched by the digest. */
import { Button, Checkbox, Select } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useItems } from '../parts/answered.tsx'
import { bytesText, durationText } from '../parts/figures.ts'
import { TrialDialog } from '../parts/trial-dialog.tsx'
import classes from './guest-tabs.module.css'

export function DumpDialog({ guest, onClose }: { guest: GuestView; onClose: () => void }) {
  const t = useText()
  const language = useLanguage()
  const params = { guest: guest.name }
  const snapshots = useItems(['snapshots', guest.id], (client) => client.call(ENDPOINTS['snapshot.list'], { params }))
  const [snapshot, setSnapshot] = useState<string | null>(null)
  const [isPacked, setPacked] = useState(true)
  const body = {
    compress: isPacked ? ('zstd' as const) : ('none' as const),
    ...(snapshot === null ? {} : { snapshot }),
  }
  return (
    <TrialDialog
      title={t('dump.title', { name: guest.name })}
      confirm={t('dump.make')}
      ask={(client) => client.call(ENDPOINTS['guest.dump'], { params, body })}
      told={({ blob, sizeBytes, pausedMs }) => (
        <>
          <p className={classes.outcome}>
            {pausedMs === 0 ? t('dump.made') : t('dump.madePaused', { time: durationText(pausedMs, language) })}
          </p>
          {/* The browser fetches it itself, by the session's cookie: it may be larger than the page's memory. */}
          <Button
            component="a"
            href={`/v1/blobs/${encodeURIComponent(blob)}`}
            download={`${guest.name}.tar${isPacked ? '.zst' : ''}`}
          >
            {t('change.download', { size: bytesText(sizeBytes, language) })}
          </Button>
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
      <Checkbox
        label={t('dump.packed')}
        checked={isPacked}
        onChange={(event) => setPacked(event.currentTarget.checked)}
      />
    </TrialDialog>
  )
}
