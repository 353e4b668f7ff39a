import { Skeleton, Stack } from '@mantine/core'
import { useText } from '../i18n/texts.ts'

/** Stands where a list will be, until the first answer. */
export function LoadingRows() {
  const t = useText()
  return (
    <Stack gap="xs" role="status" aria-label={t('word.loading')}>
      {[92, 100, 84, 96, 88].map((width) => (
        <Skeleton key={width} height={34} width={`${width}%`} />
      ))}
    </Stack>
  )
}
