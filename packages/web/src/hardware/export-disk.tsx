/** The disk of a stopped guest as a file: it is copied first, which takes a while, then fetched by its digest. */
import { Button, Progress } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { GuestView, VolumeView } from '@stead/api/views.ts'
import { obstacleToChange } from '../guests/guest-change.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { useLive } from '../live/use-live.ts'
import { bytesText } from '../parts/figures.ts'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { showFailure } from '../parts/toasts.tsx'
import { useSession } from '../session/session-context.ts'
import classes from './export-disk.module.css'

export function ExportDisk({ guest, volume }: { guest: GuestView; volume: VolumeView }) {
  const t = useText()
  const language = useLanguage()
  const { client } = useSession()
  const [id, setId] = useState<string>()
  const operation = useLive((state) => (id === undefined ? undefined : state.operations.get(id)))
  const params = { volume: volume.id }
  const capture = async () => {
    const begun = await client.call(ENDPOINTS['volume.capture'], { params })
    if (begun.ok) setId(begun.value.operation.id)
    else showFailure(begun.error)
  }
  const cancel = async () => {
    const done = await client.call(ENDPOINTS['volume.cancel-capture'], { params })
    if (!done.ok) showFailure(done.error)
  }
  if (operation?.state === 'succeeded' && operation.made) {
    const { blob, sizeBytes } = operation.made
    return (
      // The browser fetches it itself, by the session's cookie: it may be larger than the page's memory.
      <Button
        component="a"
        size="compact-xs"
        href={`/v1/blobs/${encodeURIComponent(blob)}`}
        download={`${guest.name}-${volume.name}.qcow2`}
      >
        {t('word.download', { size: bytesText(sizeBytes, language) })}
      </Button>
    )
  }
  if (operation?.state === 'running') {
    return (
      <div className={classes.running}>
        <Progress value={operation.progress * 100} aria-label={operation.message} className={classes.bar} />
        <Button size="compact-xs" variant="default" onClick={() => void cancel()}>
          {t('word.cancel')}
        </Button>
      </div>
    )
  }
  return (
    <RefusableButton
      size="compact-xs"
      variant="default"
      obstacle={obstacleToChange('export', guest)}
      onClick={() => void capture()}
    >
      {t('change.export')}
    </RefusableButton>
  )
}
