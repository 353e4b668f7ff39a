/** A failure as the cluster tells it: what happened, what can be done, what lies beneath. */
import { Alert, Text as Words } from '@mantine/core'
import { hintOf, type Failure } from '@stead/core/errors.ts'
import { useText } from '../i18n/texts.ts'
import { Icon } from './icon.tsx'

export function FailureAlert({ failure }: { failure: Failure }) {
  const t = useText()
  return (
    <Alert color="red" variant="light" icon={<Icon name="warning" />} title={failure.message} role="alert">
      <Words size="sm">{hintOf(failure)}</Words>
      <Words size="xs" mt={4}>
        {t('word.code')}: <code>{failure.code}</code>
      </Words>
    </Alert>
  )
}
