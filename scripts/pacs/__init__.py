"""Between a PACS and the server: CT series in from folders, C-STORE or DICOMweb; results out as DICOM, once each."""
