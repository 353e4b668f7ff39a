import { Button } from '@mantine/core'
import type { BackupView } from '@stead/api/endpoints/backups.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { bytesText } from './figures.ts'

interface LinkProps extends Pick<BackupView, 'id' | 'compress'> {
  readonly sizeBytes: number
}

/** The browser fetches it itself, by the session's cookie: it may be larger than the page's memory. */
export function BackupLink({ id, compress, sizeBytes }: LinkProps) {
  const t = useText()
  const language = useLanguage()
  return (
    <Button
      component="a"
      href={`/v1/backups/${encodeURIComponent(id)}/content`}
      download={`${id}.tar${compress === 'zstd' ? '.zst' : ''}`}
    >
      {t('word.download', { size: bytesText(sizeBytes, language) })}
    </Button>
  )
}
