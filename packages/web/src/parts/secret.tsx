import { Button, CopyButton } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import classes from './secret.module.css'

/** What is shown this once, and is copied by a button. `what`: its name, where several stand beside each other. */
export function Secret({ value, what }: { value: string; what?: string }) {
  const t = useText()
  return (
    <div className={classes.secret}>
      <code>{value}</code>
      <CopyButton value={value}>
        {({ copied, copy }) => (
          <Button
            size="compact-sm"
            variant="default"
            onClick={copy}
            {...(what === undefined ? {} : { 'aria-label': t('word.copyOne', { what }) })}
          >
            {copied ? t('word.copied') : t('word.copy')}
          </Button>
        )}
      </CopyButton>
    </div>
  )
}
