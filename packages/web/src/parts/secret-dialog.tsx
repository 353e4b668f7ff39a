import { Button, CopyButton, Modal, Stack } from '@mantine/core'
import { useText } from '../i18n/texts.ts'
import classes from './secret-dialog.module.css'

/** Shown this once: nobody can ever see it again. */
export function SecretDialog(props: { title: string; text: string; secret: string; onClose: () => void }) {
  const t = useText()
  return (
    <Modal opened onClose={props.onClose} title={props.title} closeButtonProps={{ 'aria-label': t('word.close') }}>
      <Stack>
        <p className={classes.text}>{props.text}</p>
        <div className={classes.secret}>
          <code>{props.secret}</code>
          <CopyButton value={props.secret}>
            {({ copied, copy }) => (
              <Button size="compact-sm" variant="default" onClick={copy}>
                {copied ? t('word.copied') : t('word.copy')}
              </Button>
            )}
          </CopyButton>
        </div>
        <Button onClick={props.onClose}>{t('word.close')}</Button>
      </Stack>
    </Modal>
  )
}
